//! Calls of foreign code whose panics must not reach the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls foreign code for a peer that is not the caller's. A panic is logged.
pub(crate) fn contain(what: &'static str, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("{what} panicked");
    }
}
