//! Checks [`chat_core::fuzzing::decoder`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core::fuzzing::decoder::check(data));
