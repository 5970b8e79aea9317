//! loom's atomics, made right for `SeqCst`: all such stores have one order, and a load gives
//! nothing older than the last of them.
//!
//! loom knows the second rule, but takes what an atomic begins with for no such store, and it orders
//! two stores to one atomic only if one thread knew of the other's. Either makes false alarms: two
//! threads that store first and then load could both miss the other, and a `swap` the last store. So
//! here an atomic begins with a store, and a store is a swap, which knows of the one before it.

use std::ops::Deref;
use std::sync::atomic::Ordering::{self, SeqCst};

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                let inner = loom::sync::atomic::$name::new(value);
                inner.store(value, SeqCst);
                Self(inner)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                match order {
                    SeqCst => drop(self.0.swap(value, order)),
                    _ => self.0.store(value, order),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }

        impl Deref for $name {
            type Target = loom::sync::atomic::$name;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU64, u64);
