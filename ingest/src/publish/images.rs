//! Saved images: their names, which come from outside, and writing them without replacing anything.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use contract::resize::OutputFormat;

/// Of 255 that file systems take; the size, a number and the extension come on top.
const MAX_STEM_BYTES: usize = 120;

/// Until the image is there to be looked at.
pub(crate) const UNKNOWN: &str = "img";

pub(crate) fn extension(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "jpg",
        OutputFormat::Png => "png",
        OutputFormat::Webp => "webp",
        OutputFormat::Auto => UNKNOWN,
    }
}

/// What an image that keeps its own format will be. The worker decides; this only names the file.
pub(crate) fn extension_of(image: &[u8]) -> &'static str {
    match image {
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => UNKNOWN,
    }
}

/// Gives out names, each once, also where letters' case makes no difference.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// `STEM-WxH.EXT`, with a number where that is taken.
    pub(crate) fn take(&mut self, source: &Path, size: &str, extension: &str) -> String {
        let name = format!("{}-{size}.{extension}", stem(source));
        let mut free = name.clone();
        for n in 2.. {
            if self.0.insert(free.to_lowercase()) {
                break;
            }
            free = numbered(&name, n);
        }
        free
    }
}

/// `cat.jpg`, `cat-2.jpg`, `cat-3.jpg` …
fn numbered(name: &str, n: u32) -> String {
    match (n, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, extension))) => format!("{stem}-{n}.{extension}"),
        (_, None) => format!("{name}-{n}"),
    }
}

/// The file's name without its extension, of characters that mean nothing to a shell, a terminal or a file system.
fn stem(source: &Path) -> String {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let harmless = |c: char| if c.is_alphanumeric() || " ._-+()".contains(c) { c } else { '_' };
    let mut safe: String = stem.trim_start_matches(['.', '-', ' ']).chars().map(harmless).collect();
    while safe.len() > MAX_STEM_BYTES {
        safe.pop();
    }
    if safe.is_empty() { "image".to_owned() } else { safe }
}

/// Writes into `folder`. A file that is there stays: the same bytes are as good as written, others get another number.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let known = name.strip_suffix(UNKNOWN).map(|stem| format!("{stem}{}", extension_of(bytes)));
    let name = known.as_deref().unwrap_or(name);
    for n in 1.. {
        let path = folder.join(numbered(name, n));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return write(file, bytes, &path).map(|()| path),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if holds(&path, bytes) => return Ok(path),
            Err(_) => {}
        }
    }
    Err(io::Error::other(format!("there is no free name like {name}")))
}

fn write(mut file: File, bytes: &[u8], path: &Path) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        // What is torn would look like an image.
        let _ = fs::remove_file(path);
    })
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same_length = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == bytes.len() as u64);
    same_length && fs::read(path).is_ok_and(|found| found == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: &str = "320x240";

    #[test]
    fn names_come_from_the_file_and_stay_in_the_folder() {
        let check = |source: &str, expected: &str| {
            let name = Names::default().take(Path::new(source), BOX, "jpg");
            assert_eq!(name, expected, "{source:?}");
            assert_eq!(Path::new(&name).components().count(), 1, "{name:?}");
        };
        check("photos/cat.png", "cat-320x240.jpg");
        check("/abs/été (2).v1.jpeg", "été (2).v1-320x240.jpg");
        check("../../..jpg", "image-320x240.jpg");
        check("..", "image-320x240.jpg");
        check(".hidden", "hidden-320x240.jpg");
        check("-rf.jpg", "rf-320x240.jpg");
        check("a\\b:c*d\n\x1b[31m.jpg", "a_b_c_d___31m-320x240.jpg");
        check(&"ü".repeat(100), &format!("{}-320x240.jpg", "ü".repeat(60)));
    }

    #[test]
    fn no_two_names_are_the_same_even_where_case_is_ignored() {
        let mut names = Names::default();
        let taken: Vec<_> = ["a/cat.jpg", "b/Cat.png", "c/cat.jpg", "d/cat.jpg"]
            .iter()
            .map(|source| names.take(Path::new(source), BOX, "webp"))
            .collect();
        assert_eq!(taken, ["cat-320x240.webp", "Cat-320x240-2.webp", "cat-320x240-3.webp", "cat-320x240-4.webp"]);
        assert_eq!(names.take(Path::new("cat.jpg"), BOX, "jpg"), "cat-320x240.jpg");
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (bytes, extension) in [
            (&b"\xff\xd8\xff\xe0"[..], "jpg"),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "webp"),
            (b"RIFF\x10\x00\x00\x00WAVE", "img"),
            (b"", "img"),
        ] {
            assert_eq!(extension_of(bytes), extension, "{bytes:?}");
        }
    }

    #[test]
    fn saving_replaces_nothing_and_repeats_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let saved = |bytes: &[u8]| {
            let path = save(folder.path(), "cat.jpg", bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(saved(b"one"), "cat.jpg");
        assert_eq!(saved(b"two"), "cat-2.jpg");
        assert_eq!(saved(b"one"), "cat.jpg");
        assert_eq!(saved(b"two"), "cat-2.jpg");
        fs::create_dir(folder.path().join("cat-3.jpg")).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("cat-4.jpg")).unwrap();
        assert_eq!(saved(b"three"), "cat-5.jpg");
    }
}
