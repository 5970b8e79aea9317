//! Checks [`chat_core::fuzzing::names`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core::fuzzing::names::check(data));
