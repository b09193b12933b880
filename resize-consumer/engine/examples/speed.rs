//! Conversions per CPU second over a folder: speed DIR WIDTH HEIGHT ROUNDS FORMAT [OUT].
#![allow(clippy::all, clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]
use contract::resize::{OutputFormat, Resize};
use engine::{Engine, Limits};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (dir, w, h, rounds) = (&args[1], args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse::<u32>().unwrap());
    let format = match args[5].as_str() { "webp" => OutputFormat::Webp, "png" => OutputFormat::Png, _ => OutputFormat::Jpeg };
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let mut best = vec![i64::MAX; inputs.len()];
    let mut engine = Engine::default();
    let mut bytes = 0;
    for round in 0..rounds {
        for (n, input) in inputs.iter().enumerate() {
            let params = Resize { width: Some(w), height: Some(h), format: Some(format), ..Resize::default() };
            let out = engine.resize(input, &params, &Limits::default()).unwrap();
            best[n] = best[n].min(out.measures.cpu_micros.get());
            if round == 0 {
                bytes += out.bytes.len();
                if let Some(dir) = args.get(6) {
                    std::fs::create_dir_all(dir).unwrap();
                    std::fs::write(format!("{dir}/{}", files[n].file_name().unwrap().to_str().unwrap()), &out.bytes).unwrap();
                }
            }
        }
    }
    let total: i64 = best.iter().sum();
    println!("{dir} {w}x{h} {}: {:.1}/s, {} bytes", args[5], 1e6 * inputs.len() as f64 / total as f64, bytes / inputs.len());
}
