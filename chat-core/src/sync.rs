//! The locks and atomics that threads meet at: std's, but in the models (`models/`) they are loom's.
//!
//! `Arc` is std's in the models, too: `std::task::Wake` wants it, and which thread drops
//! a thing last changes nothing that a model looks at.

#[cfg(not(all(test, chat_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};

#[cfg(all(test, chat_loom))]
pub(crate) use crate::models::atomic::{AtomicBool, AtomicU64};
#[cfg(all(test, chat_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
