//! The same in, the same out: whatever the engine did before, and on whichever thread.

use super::*;

/// Everything of a result but its CPU time.
fn essence(result: Result<Output, Box<Rejection>>) -> Result<(Vec<u8>, u32, u32), (Reason, String)> {
    match result {
        Ok(output) => Ok((output.bytes, output.width, output.height)),
        Err(rejection) => Err((rejection.reason, rejection.detail)),
    }
}

fn work() -> Vec<(Vec<u8>, Resize)> {
    let rocket = photo("rocket.jpg");
    let mut work = Vec::new();
    for format in FORMATS {
        work.push((rocket.clone(), to(format, within(320, 240))));
        work.push((photo("chelsea.png"), to(format, fit(Fit::Cover, within(64, 64)))));
    }
    let chelsea = look(&photo("chelsea.png"));
    work.push((lossless_webp(&chelsea, None), within(99, 99)));
    // Broken in the header, in the pixels, and by a missing table.
    work.push((rocket[..300].to_vec(), within(99, 99)));
    work.push((rocket[..30_000].to_vec(), within(99, 99)));
    work.push((edit_jpeg(&rocket, |marker, segment| (marker != 0xDB).then_some(segment)), within(99, 99)));
    // Without Huffman tables the standard ones are meant, not the last image's.
    work.push((edit_jpeg(&rocket, |marker, segment| (marker != 0xC4).then_some(segment)), within(99, 99)));
    work.push((rocket, within(10, 10)));
    work
}

#[test]
fn an_engine_forgets_every_image() {
    let work = work();
    let expected: Vec<_> = work.iter().map(|(input, params)| essence(resize(input, params))).collect();
    assert_eq!(expected.iter().filter(|result| result.is_err()).count(), 3, "as many as are broken");

    let mut engine = Engine::default();
    for offset in [1, 5, 7] {
        for at in 0..work.len() {
            let at = (at * offset) % work.len();
            let (input, params) = &work[at];
            assert_eq!(essence(engine.resize(input, params, &Limits::default())), expected[at], "image {at}");
        }
    }
}

#[test]
fn threads_do_not_differ() {
    let all = || work().iter().map(|(input, params)| essence(resize(input, params))).collect::<Vec<_>>();
    let there = std::thread::spawn(all);
    assert_eq!(all(), there.join().unwrap());
}
