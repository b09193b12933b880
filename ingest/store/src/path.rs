//! The one place where paths are checked. A path that passes has the same name on disk, in every cloud and in every
//! listing: nothing is percent-encoded, nothing leaves the root, nothing meets our temporary files.

use object_store::path::Path;

use crate::StoreError;

/// With the longest prefix of a URL and the slash between: 1,024 bytes, what S3 allows.
const MAX_PATH_BYTES: usize = 900;
pub(crate) const MAX_URL_PREFIX_BYTES: usize = 123;
/// File systems take 255.
const MAX_SEGMENT_BYTES: usize = 200;

/// Checks the path of an object: relative, `/` between segments, no segment empty or beginning with a dot.
pub(crate) fn check(path: &str) -> Result<Path, StoreError> {
    let bad = |reason| StoreError::BadPath { path: path.to_owned(), reason };
    if let Some(reason) = broken_rule(path) {
        return Err(bad(reason));
    }
    Path::parse(path).map_err(|_| bad("not a path that object stores take"))
}

/// Checks the prefix of a listing: as [`check`], or `""` for the root (`None`); one trailing slash is dropped.
pub(crate) fn check_prefix(prefix: &str) -> Result<Option<Path>, StoreError> {
    if prefix.is_empty() {
        return Ok(None);
    }
    check(prefix.strip_suffix('/').unwrap_or(prefix)).map(Some)
}

/// Whether some segment begins with a dot.
pub(crate) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|segment| segment.starts_with('.'))
}

fn broken_rule(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > MAX_PATH_BYTES {
        return Some("is longer than 900 bytes");
    }
    if path.starts_with('/') {
        return Some("begins with a slash; paths are relative to the store's root");
    }
    if path.contains(|c: char| c.is_control() || c == '\\' || c == '#') {
        return Some("has a control character, a backslash or a '#'");
    }
    path.split('/').find_map(|segment| match segment {
        "" => Some("has an empty segment"),
        "." | ".." => Some("has a relative segment"),
        _ if segment.starts_with('.') => Some("has a segment that begins with a dot"),
        _ if segment.len() > MAX_SEGMENT_BYTES => Some("has a segment longer than 200 bytes"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths_keep_their_name() {
        for path in [
            "a",
            "landing/resize.requests/epoch=0/partition=00000/00000000000000000000.parquet",
            "with space/%41/Ä/a..b/x@1,2+3~(4)'5:6!",
        ] {
            assert_eq!(check(path).unwrap().as_ref(), path);
        }
        assert!(check(&"s/".repeat(450)).is_err());
        assert!(check(&vec!["s"; 450].join("/")).is_ok());
        assert!(check(&"n".repeat(200)).is_ok());
    }

    #[test]
    fn bad_paths_are_named() {
        let (long_path, long_segment) = (vec!["s"; 451].join("/"), "n".repeat(201));
        for (path, reason) in [
            ("", "is empty"),
            ("/a", "begins with a slash"),
            ("a/", "empty segment"),
            ("a//b", "empty segment"),
            (".", "relative segment"),
            ("a/../b", "relative segment"),
            ("a/./b", "relative segment"),
            (".tmp/1#1", "'#'"),
            (".tmp/1", "begins with a dot"),
            ("a/.b", "begins with a dot"),
            ("a\\b", "backslash"),
            ("a\0b", "control character"),
            ("a\nb", "control character"),
            ("a\u{85}b", "control character"),
            ("a#1", "'#'"),
            (&long_path, "longer than 900"),
            (&long_segment, "longer than 200"),
        ] {
            let error = check(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{path:?} gave {error}");
        }
    }

    #[test]
    fn prefixes_may_end_in_a_slash_or_be_the_root() {
        assert_eq!(check_prefix("").unwrap(), None);
        assert_eq!(check_prefix("a/b/").unwrap(), check_prefix("a/b").unwrap());
        for prefix in ["/", "a//", "../a", "a/.."] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
