//! What Pillow makes of the corpus, as `tests/corpus/pillow_reference.py` writes it.

use std::fs;
use std::path::PathBuf;

pub(crate) const SIDE: u32 = 32;

pub(crate) struct Reference {
    /// Below the corpus.
    pub(crate) path: String,
    /// Pillow's name of it; `-` if it doesn't know it.
    pub(crate) format: String,
    /// Of what Pillow opens.
    pub(crate) picture: Option<Picture>,
}

pub(crate) struct Picture {
    /// Once turned upright.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// RGBA, `SIDE` × `SIDE`.
    pub(crate) pixels: Vec<u8>,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/corpus"))
}

/// All files of the corpus.
pub(crate) fn read() -> Vec<Reference> {
    let path = folder().join("reference.tsv");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make setup` fetches the corpus of images", path.display()));
    let references: Vec<_> = text.lines().map(parse).collect();
    assert!(references.len() > 1_000, "only {} files in the corpus", references.len());
    references
}

fn parse(line: &str) -> Reference {
    let fields: Vec<_> = line.split('\t').collect();
    let (path, format, picture) = match fields[..] {
        [path, format, "refused", _] => (path, format, None),
        [path, format, "pixels", width, height, pixels] => {
            let pixels: Vec<_> = pixels.as_bytes().chunks_exact(2).map(byte).collect();
            assert_eq!(pixels.len(), (SIDE * SIDE * 4) as usize);
            let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
            (path, format, Some(Picture { width, height, pixels }))
        }
        _ => panic!("{line} is not what pillow_reference.py writes"),
    };
    Reference { path: path.to_owned(), format: format.to_owned(), picture }
}

fn byte(hex: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()
}
