//! The budgets of our server.

use crate::linux::record::Figure;
use crate::linux::servers::Program;
use Bound::{AtLeast, AtMost};

/// A bound for a figure.
pub(crate) struct Budget {
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
    /// The server whose figure the bound multiplies.
    pub(crate) times: Option<Program>,
}

/// The bound of a figure or of a ratio.
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Ratios to another server in the same run, where the figure depends on the machine.
pub(crate) const BUDGETS: &[Budget] = &[
    Budget {
        scenarios: &["fan10", "fan100", "fan1000", "fan5000"],
        figure: Figure::ServerMicros,
        bound: AtMost(1.25),
        times: Some(Program::Floor),
    },
    Budget {
        scenarios: &["fan1000"],
        figure: Figure::DeliveriesPerSecond,
        bound: AtLeast(3.0),
        times: Some(Program::Redis),
    },
    Budget {
        scenarios: &["fan1000"],
        figure: Figure::DeliveriesPerSecond,
        bound: AtLeast(3.0),
        times: Some(Program::Nats),
    },
    Budget {
        scenarios: &["fan1000"],
        figure: Figure::DeliveriesPerSecond,
        bound: AtLeast(8.0),
        times: Some(Program::Broadcast),
    },
    Budget {
        scenarios: &["ping1000", "lat1000"],
        figure: Figure::ServerMicros,
        bound: AtMost(1.2),
        times: Some(Program::Floor),
    },
    Budget {
        scenarios: &["ping1000", "lat1000"],
        figure: Figure::ServerMicros,
        bound: AtMost(1.0),
        times: Some(Program::Broadcast),
    },
    Budget {
        scenarios: &["rate1000"],
        figure: Figure::ServerMicros,
        bound: AtMost(1.1),
        times: Some(Program::Floor),
    },
    Budget {
        scenarios: &["rate1000"],
        figure: Figure::P99Micros,
        bound: AtMost(1.3),
        times: Some(Program::Floor),
    },
    Budget {
        scenarios: &["idle10k"],
        figure: Figure::BytesPerPeer,
        bound: AtMost(2048.0),
        times: None,
    },
    Budget {
        scenarios: &["idle10k"],
        figure: Figure::PeersPerSecond,
        bound: AtLeast(8000.0),
        times: None,
    },
    Budget {
        scenarios: &["stuck", "flood", "turns"],
        figure: Figure::Lost,
        bound: AtMost(0.0),
        times: None,
    },
    Budget {
        scenarios: &["stuck"],
        figure: Figure::LongestPauseMillis,
        bound: AtMost(20.0),
        times: None,
    },
    // The log has 8 MiB; 4 MiB are allowed beyond it.
    Budget {
        scenarios: &["stuck"],
        figure: Figure::GrowthMib,
        bound: AtMost(12.0),
        times: None,
    },
    Budget {
        scenarios: &["churn"],
        figure: Figure::CyclesPerSecond,
        bound: AtLeast(15_000.0),
        times: None,
    },
];
