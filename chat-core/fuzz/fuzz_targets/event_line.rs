//! See `chat_core_fuzz::event_line`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core_fuzz::event_line::check(data));
