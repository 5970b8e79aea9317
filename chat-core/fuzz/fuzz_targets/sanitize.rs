//! Checks [`chat_core::fuzzing::sanitize`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core::fuzzing::sanitize::check(data));
