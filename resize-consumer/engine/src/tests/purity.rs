//! The same in, the same out: whatever the engine did before, and on whichever thread.

use super::*;

/// Everything of a result but its CPU time.
fn essence(result: Result<Output, Box<Rejection>>) -> Result<(Vec<u8>, u32, u32), (Reason, String)> {
    match result {
        Ok(output) => Ok((output.bytes, output.width, output.height)),
        Err(rejection) => Err((rejection.reason, rejection.detail)),
    }
}

/// Parameters that use each step and buffer of the engine.
fn every_way() -> Vec<Resize> {
    use contract::resize::{Crop, Filter, Flip, FocalPoint, Gravity, Metadata, Thousandths};
    let sigma = |thousandths| Some(Thousandths::new(thousandths));
    let accept = vec![OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp];
    let mut ways = Vec::new();
    for params in [
        Resize { dpr: sigma(1_500), gravity: Some(Gravity::East), ..fit(Fit::Cover, within(40, 50)) },
        Resize { enlarge: Some(true), filter: Some(Filter::Mitchell), ..fit(Fit::Outside, within(700, 300)) },
        Resize { background: Some("#40608080".to_owned()), rotate: Some(90), ..fit(Fit::Contain, within(90, 90)) },
        Resize {
            crop: Some(Crop { left: 9, top: 8, width: 77, height: 66 }),
            flip: Some(Flip::Both),
            ..Resize::default()
        },
        Resize {
            focal_point: Some(FocalPoint { x: Thousandths::new(300), y: Thousandths::new(0) }),
            ..fit(Fit::Cover, within(50, 31))
        },
        Resize { blur: sigma(2_000), sharpen: sigma(700), metadata: Some(Metadata::Copyright), ..within(80, 80) },
        Resize { sharpen: sigma(1_000), progressive: Some(true), quality: Some(55), ..fit(Fit::Fill, within(70, 71)) },
    ] {
        ways.extend(FORMATS.map(|format| to(format, params.clone())));
        ways.push(to(OutputFormat::Auto, Resize { accept: accept.clone(), ..params.clone() }));
        ways.push(to(OutputFormat::Webp, Resize { lossless: Some(true), ..params }));
    }
    ways
}

fn work() -> Vec<(Vec<u8>, Resize)> {
    let rocket = photo("rocket.jpg");
    let mut work = Vec::new();
    for format in FORMATS {
        work.push((rocket.clone(), to(format, within(320, 240))));
        work.push((photo("chelsea.png"), to(format, fit(Fit::Cover, within(64, 64)))));
    }
    let chelsea = look(&photo("chelsea.png"));
    let small = chelsea.thumbnail(120, 120);
    let planes = resize(&rocket, &within(161, 161)).unwrap().bytes;
    for params in every_way() {
        work.push((planes.clone(), params.clone()));
        work.push((png(&small.grayscale()), params.clone()));
        work.push((png(&small.to_rgba8().into()), params));
    }
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
            assert!(
                essence(engine.resize(input, params, &Limits::default())) == expected[at],
                "image {at}, {params:?}"
            );
        }
    }
}

#[test]
fn threads_do_not_differ() {
    let all = || work().iter().map(|(input, params)| essence(resize(input, params))).collect::<Vec<_>>();
    let there = std::thread::spawn(all);
    assert!(all() == there.join().unwrap());
}
