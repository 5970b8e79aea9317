//! The figures of a run: a line of JSON, and a part of a median in the report.

use serde::Serialize;
use std::collections::BTreeMap;

/// A measured quantity.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Payloads published.
    Messages,
    Delivered,
    /// Deliveries lost by members that always read: gaps, and those outstanding when no more
    /// arrived.
    Lost,
    /// Deliveries outstanding at the end, while others still arrived.
    UnderWay,
    /// Gaps of members that read intermittently.
    LostAtTimes,
    Duplicates,
    /// Connections that ended during the run.
    Disconnected,
    /// From the first payload to the last delivery.
    Seconds,
    DeliveriesPerSecond,
    /// CPU time of the server per delivery, in µs.
    ServerMicros,
    /// CPU time of the generator per delivery, in µs.
    GeneratorMicros,
    ServerCores,
    GeneratorCores,
    /// Cores used by other processes.
    OtherCores,
    P50Micros,
    P99Micros,
    MaxMicros,
    /// The longest time without a delivery to any member, in ms.
    LongestPauseMillis,
    /// Peak resident memory of the server, less that at the start, in MiB.
    GrowthMib,
    /// Time until all members had joined and received a probe.
    SetupSeconds,
    /// Members divided by that time.
    PeersPerSecond,
    /// Memory of the server per idle member.
    BytesPerPeer,
    /// Visitors that joined, received the greeting and left.
    CyclesPerSecond,
    /// Deliveries/s before the first pause.
    RateWithout,
    /// Deliveries/s while members paused in turn.
    RateWith,
    /// [`RateWith`](Self::RateWith) divided by [`RateWithout`](Self::RateWithout).
    RateKept,
}

/// All figures of a run.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// A run of a scenario against a fresh server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: &'static str,
    pub(crate) server: &'static str,
    /// Counts from 0; the servers of one scenario are compared within a number.
    pub(crate) run: usize,
    pub(crate) members: usize,
    pub(crate) publishers: usize,
    /// In bytes.
    pub(crate) payload: usize,
    /// Other processes used the machine in each repetition.
    pub(crate) noisy: bool,
    /// The reason why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Run {
    /// The name of the scenario, or of the point of a curve.
    pub(crate) fn label(&self) -> String {
        match self.scenario {
            "members" => format!("N = {}", self.members),
            "payload" => format!("{} B", self.payload),
            "publishers" => format!("{} of {}", self.publishers, self.members),
            "deaf" | "deaf-rate" => format!("{}, N = {}", self.scenario, self.members),
            name => name.to_owned(),
        }
    }
}
