//! What fuzzing once found stays mended.

use std::fs;
use std::time::Duration;

use engine::Limits;

use crate::parameters::parameters;
use crate::watch::{Allowed, Watch, alone};

#[test]
fn what_fuzzing_found() {
    let mut watch = Watch::start(alone(), Allowed { cpu: Duration::from_secs(5), memory_bytes: 64_000_000 });
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regressions");
    let mut inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    for path in inputs {
        let input = fs::read(&path).unwrap();
        watch.resize(&path.display().to_string(), &input, &parameters(&input), &Limits::default());
    }
    watch.finish();
}
