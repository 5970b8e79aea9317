//! Checks [`chat_core::fuzzing::commands`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core::fuzzing::commands::check(data));
