//! What a run measured: a line of JSON, and later a part of a median.

use serde::Serialize;
use std::collections::BTreeMap;

/// A quantity that is measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Payloads that were sent.
    Messages,
    Delivered,
    /// What members that always read did not get: gaps, and what was missing when nothing came
    /// any more.
    Lost,
    /// What was missing at the end, while something still came.
    UnderWay,
    /// The same of those that read at times only, without what was missing at the end.
    LostAtTimes,
    Duplicates,
    /// Connections that ended during the run.
    Disconnected,
    /// From the first payload to the last delivery.
    Seconds,
    DeliveriesPerSecond,
    /// CPU time of the server for a delivery, in µs.
    ServerMicros,
    /// The same of the generator.
    GeneratorMicros,
    ServerCores,
    GeneratorCores,
    /// What everything else on the machine used.
    OtherCores,
    P50Micros,
    P99Micros,
    MaxMicros,
    /// The longest time in which nobody got anything, in ms.
    LongestPauseMillis,
    /// By how much the server's memory was larger at its largest than at the start, in MiB.
    GrowthMib,
    /// Until all were in the room and had heard a probe.
    SetupSeconds,
    /// Members, by that time.
    PeersPerSecond,
    /// Memory of the server, for each idle member.
    BytesPerPeer,
    /// Visitors that connected, were greeted and left.
    CyclesPerSecond,
    /// Deliveries/s before anybody rested.
    RateWithout,
    /// Deliveries/s while members rested in turn.
    RateWith,
    /// The one by the other.
    RateKept,
}

/// All that a run measured.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// A run of a scenario against a fresh server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: &'static str,
    pub(crate) server: &'static str,
    /// Counts from 0; runs of the same number stood beside each other.
    pub(crate) run: usize,
    pub(crate) members: usize,
    pub(crate) publishers: usize,
    /// In bytes.
    pub(crate) payload: usize,
    /// Something else used the machine, however often it was repeated.
    pub(crate) noisy: bool,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Run {
    /// What to call the scenario: of a curve, the point.
    pub(crate) fn point(&self) -> String {
        match self.scenario {
            "members" => format!("N = {}", self.members),
            "payload" => format!("{} B", self.payload),
            "publishers" => format!("{} of {}", self.publishers, self.members),
            "deaf" | "deaf-rate" => format!("{}, N = {}", self.scenario, self.members),
            name => name.to_owned(),
        }
    }
}
