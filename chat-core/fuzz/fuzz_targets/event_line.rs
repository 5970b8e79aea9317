//! Checks [`chat_core::fuzzing::event_line`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core::fuzzing::event_line::check(data));
