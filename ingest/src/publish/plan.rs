//! Files × sizes × formats: what is to be asked for, before it has ids.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use contract::Digest;
use contract::resize::Resize;
use serde::{Deserialize, Serialize};
use service::BadUsage;

use super::config::Wish;
use super::images;
use super::size;

/// What the workers take, unless a deployment says otherwise.
const MAX_SOURCE_BYTES: u64 = 20_000_000;

/// One conversion to ask for. What a journal keeps, and must find again when a run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// As it was given, for a person.
    pub(crate) file: String,
    pub(crate) sha256: Digest,
    pub(crate) resize: Resize,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    pub(crate) source_bytes: u64,
    /// Under which the image would be saved: unique in the plan.
    pub(crate) image_name: String,
    pub(crate) work: Work,
}

/// Reads all files, to name them by their content. Blocks.
pub(crate) fn plan(wish: &Wish) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut names = images::Names::default();
    for path in expand(&wish.patterns)? {
        let bytes = read_source(&path)?;
        let (sha256, source_bytes) = (Digest::of(&bytes), bytes.len() as u64);
        for size in &wish.sizes {
            for format in &wish.formats {
                let (width, height) = size.map_or((None, None), |size| (size.width, size.height));
                let resize = Resize { width, height, format: *format, ..wish.resize.clone() };
                let extension = match (format, &resize.preset) {
                    (Some(format), _) => images::extension(*format),
                    (None, None) => images::extension_of(&bytes),
                    (None, Some(_)) => images::UNKNOWN,
                };
                items.push(Item {
                    path: path.clone(),
                    source_bytes,
                    image_name: names.take(&path, &size::name(&resize), extension),
                    work: Work { file: path.to_string_lossy().into_owned(), sha256, resize },
                });
            }
        }
    }
    Ok(items)
}

/// The files that the patterns name, each once. What is a file's name is taken as such, even where it would also be a
/// pattern.
pub(crate) fn expand(patterns: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let named = Path::new(pattern);
        let matched: Vec<PathBuf> = if named.is_dir() {
            return Err(BadUsage(format!("{pattern:?} is a folder; name its images, such as '{pattern}/*.jpg'")).into());
        } else if named.exists() {
            vec![named.to_owned()]
        } else {
            let found = glob::glob(pattern).map_err(|e| BadUsage(format!("{pattern:?} is not a pattern: {e}")))?;
            let found = found.collect::<Result<Vec<_>, _>>().with_context(|| format!("cannot look for {pattern:?}"))?;
            found.into_iter().filter(|path| path.is_file()).collect()
        };
        if matched.is_empty() {
            return Err(BadUsage(format!("{pattern:?}: no such file")).into());
        }
        files.extend(matched);
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// Reads one image; refuses what is no file, and what is too large before reading it.
pub(crate) fn read_source(path: &Path) -> anyhow::Result<Bytes> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let metadata = file.metadata().with_context(|| format!("cannot read {name}"))?;
    if !metadata.is_file() {
        return Err(BadUsage(format!("{name} is not a file")).into());
    }
    let mut bytes = Vec::new();
    if metadata.len() <= MAX_SOURCE_BYTES {
        file.take(MAX_SOURCE_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    }
    if metadata.len().max(bytes.len() as u64) > MAX_SOURCE_BYTES {
        return Err(BadUsage(format!("{name} is larger than {} MB", MAX_SOURCE_BYTES / 1_000_000)).into());
    }
    Ok(bytes.into())
}

impl Item {
    /// The image's bytes, which must still be what was planned. Blocks.
    pub(crate) fn read(&self) -> anyhow::Result<Bytes> {
        let bytes = read_source(&self.path)?;
        ensure!(Digest::of(&bytes) == self.work.sha256, "{} was changed after it was first read", self.work.file);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use contract::resize::{Fit, OutputFormat};

    use super::*;

    fn wish(patterns: &[String]) -> Wish {
        Wish {
            patterns: patterns.to_vec(),
            sizes: vec!["320x240".parse().ok(), "x64".parse().ok()],
            formats: vec![None, Some(OutputFormat::Webp)],
            resize: Resize { fit: Some(Fit::Cover), quality: Some(70), ..Resize::default() },
        }
    }

    fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, impl Fn(&str) -> String + use<>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let root = folder.path().to_str().unwrap().to_owned();
        (folder, move |name| format!("{root}/{name}"))
    }

    #[test]
    fn every_file_meets_every_size_and_format() {
        let (_folder, at) = folder(&[("b.png", b"\x89PNG\r\n\x1a\n..."), ("a.jpg", b"\xff\xd8\xff...")]);
        let items = plan(&wish(&[at("*")])).unwrap();
        let names: Vec<_> = items.iter().map(|item| item.image_name.as_str()).collect();
        assert_eq!(
            names,
            [
                "a-320x240.jpg",
                "a-320x240.webp",
                "a-x64.jpg",
                "a-x64.webp",
                "b-320x240.png",
                "b-320x240.webp",
                "b-x64.png",
                "b-x64.webp",
            ]
        );
        let Work { file, sha256, resize } = &items[3].work;
        assert_eq!((file, *sha256), (&at("a.jpg"), Digest::of(b"\xff\xd8\xff...")));
        let (width, height, format) = (None, Some(64), Some(OutputFormat::Webp));
        assert_eq!(*resize, Resize { width, height, format, ..wish(&[]).resize });
    }

    #[test]
    fn patterns_name_each_file_once_and_names_need_no_escaping() {
        let (_folder, at) = folder(&[("a[1].jpg", b"1"), ("b.jpg", b"2"), ("deep/er/c.jpg", b"3"), ("x.txt", b"4")]);
        let check = |patterns: &[&str], expected: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(|p| at(p)).collect();
            let expected: Vec<_> = expected.iter().map(|e| PathBuf::from(at(e))).collect();
            assert_eq!(expand(&patterns).unwrap(), expected, "{patterns:?}");
        };
        check(&["b.jpg", "*.jpg"], &["b.jpg", "a[1].jpg"]);
        check(&["a[1].jpg"], &["a[1].jpg"]);
        check(&["**/*.jpg"], &["a[1].jpg", "b.jpg", "deep/er/c.jpg"]);
    }

    #[test]
    fn what_cannot_be_published_is_named() {
        let (folder, at) = folder(&[("b.jpg", b"2"), ("sub/c.jpg", b"3")]);
        let large = fs::File::create(folder.path().join("large.jpg")).unwrap();
        large.set_len(MAX_SOURCE_BYTES + 1).unwrap();
        for (pattern, complaint) in [
            ("*.gif", "*.gif\": no such file"),
            ("nothing.jpg", "nothing.jpg\": no such file"),
            ("sub", "is a folder; name its images"),
            ("[", "is not a pattern"),
            ("large.jpg", "large.jpg is larger than 20 MB"),
        ] {
            let error = plan(&wish(&[at("b.jpg"), at(pattern)])).unwrap_err();
            assert!(error.to_string().contains(complaint), "{pattern} gave {error}");
            assert!(error.downcast_ref::<BadUsage>().is_some(), "{pattern}");
        }
        large.set_len(MAX_SOURCE_BYTES).unwrap();
        assert_eq!(plan(&wish(&[at("large.jpg")])).unwrap()[0].source_bytes, MAX_SOURCE_BYTES);
    }

    #[test]
    fn a_file_that_changed_is_not_sent() {
        let (_folder, at) = folder(&[("a.jpg", b"before")]);
        let item = plan(&wish(&[at("a.jpg")])).unwrap().remove(0);
        assert_eq!(item.read().unwrap(), "before");
        fs::write(at("a.jpg"), "after").unwrap();
        assert!(item.read().unwrap_err().to_string().contains("a.jpg was changed"));
    }
}
