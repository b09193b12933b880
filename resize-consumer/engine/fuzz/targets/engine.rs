//! The whole engine on any bytes, which are the image; its last bytes are the parameters, too.
#![no_main]

#[path = "../parameters.rs"]
mod parameters;

use std::cell::RefCell;

use contract::usage::Reason;
use engine::{Engine, Limits};

thread_local! {
    /// Kept from one input to the next, as a worker's thread does.
    static ENGINE: RefCell<Engine> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let params = parameters::parameters(input);
    let limits = Limits { input_pixels: 1 << 20, output_pixels: 1 << 18, ..Limits::default() };
    match ENGINE.with_borrow_mut(|engine| engine.resize(input, &params, &limits)) {
        Ok(output) => assert!(u64::from(output.width) * u64::from(output.height) <= limits.output_pixels),
        Err(rejection) => assert!(!matches!(rejection.reason, Reason::Other(_)), "{rejection}"),
    }
});
