//! See `chat_core_fuzz::names`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_core_fuzz::names::check(data));
