//! The size of a workload.

/// How many connections a generator opens, and the size of what they publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Connections that receive.
    pub(crate) members: usize,
    /// Connections that publish: the first members, or separate ones where the protocol requires it.
    pub(crate) publishers: usize,
    /// Connections that join and leave repeatedly.
    pub(crate) visitors: usize,
    /// Bytes of a payload.
    pub(crate) payload: usize,
}
