//! See `filter` in `targets.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scim_fuzz::filter(bytes));
