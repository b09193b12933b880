//! Sniffing, header parsing and the limits, on any bytes.
#![no_main]

use engine::{Limits, inspect};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = inspect(input, &Limits::default());
});
