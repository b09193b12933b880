//! From the URL that a person configured to a place: all that can be wrong with it is found here, before any work.

use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use url::{ParseError, Url};

use crate::StoreError;
use crate::path::{MAX_URL_PREFIX_BYTES, check};

/// One request, from connecting to the last byte. With the retries of [`retry`], a call ends within 90 s.
const REQUEST_TIMEOUT: &str = "60 seconds";

#[derive(Debug)]
pub(crate) struct Location {
    given: String,
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Bucket { kind: Kind, bucket: String, prefix: Path },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    S3,
    Google,
    Azure,
}

pub(crate) fn parse(given: &str) -> Result<Location, StoreError> {
    let place = parse_place(given).map_err(|reason| bad_url(given, reason))?;
    Ok(Location { given: given.to_owned(), place })
}

pub(crate) fn bad_url(given: &str, reason: impl Into<String>) -> StoreError {
    StoreError::BadUrl { url: without_credentials(given), reason: reason.into() }
}

impl Location {
    /// The folder of a local store, absolute; it need not exist.
    pub(crate) fn folder(&self) -> Option<&path::Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            Place::Bucket { .. } => None,
        }
    }

    /// The place as an object store, rooted at the URL's path. A folder must exist.
    pub(crate) fn objects(&self, retries: Retries) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let built = match &self.place {
            Place::Folder(folder) => LocalFileSystem::new_with_prefix(folder).map(|store| Arc::new(store) as _),
            Place::Bucket { kind, bucket, prefix } => kind.open(bucket, retries).map(|store| {
                if prefix.is_root() { store } else { Arc::new(PrefixStore::new(store, prefix.clone())) as _ }
            }),
        };
        built.map_err(|error| bad_url(&self.given, error.to_string()))
    }
}

impl Kind {
    /// The clouds' own `from_env` reads no variables but those with the cloud's prefix.
    fn open(self, bucket: &str, retries: Retries) -> object_store::Result<Arc<dyn ObjectStore>> {
        let timeout = ClientConfigKey::Timeout;
        Ok(match self {
            Self::Memory => Arc::new(InMemory::new()),
            Self::S3 => Arc::new(
                AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_conditional_put(S3ConditionalPut::ETagMatch)
                    .with_config(AmazonS3ConfigKey::Client(timeout), REQUEST_TIMEOUT)
                    .with_retry(retry(retries))
                    .build()?,
            ),
            Self::Google => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .with_config(GoogleConfigKey::Client(timeout), REQUEST_TIMEOUT)
                    .with_retry(retry(retries))
                    .build()?,
            ),
            Self::Azure => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_container_name(bucket)
                    .with_config(AzureConfigKey::Client(timeout), REQUEST_TIMEOUT)
                    .with_retry(retry(retries))
                    .build()?,
            ),
        })
    }
}

/// Of a request that got no answer, or was told to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retries {
    Some,
    None,
}

fn retry(retries: Retries) -> RetryConfig {
    let (init_backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(5));
    let backoff = BackoffConfig { init_backoff, max_backoff, base: 2.0 };
    RetryConfig {
        backoff,
        max_retries: if retries == Retries::Some { 8 } else { 0 },
        retry_timeout: Duration::from_secs(30),
    }
}

fn parse_place(given: &str) -> Result<Place, String> {
    if given.is_empty() {
        return Err("is empty; give a folder such as ./data, or s3://bucket/prefix".to_owned());
    }
    let url = match Url::parse(given) {
        Err(ParseError::RelativeUrlWithoutBase) => return absolute(given).map(Place::Folder),
        parsed => parsed.map_err(|error| error.to_string())?,
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials don't belong in the URL; set AWS_ACCESS_KEY_ID and so on".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a '?' or '#', which mean nothing here".to_owned());
    }
    let kind = match url.scheme() {
        "file" => return file_url(given).map(Place::Folder),
        "memory" => Kind::Memory,
        "s3" => Kind::S3,
        "gs" => Kind::Google,
        "az" => Kind::Azure,
        other => return Err(format!("unknown scheme {other:?}; known are file, s3, gs, az and memory")),
    };
    let bucket = url.host_str().unwrap_or_default().to_owned();
    if (kind == Kind::Memory) != bucket.is_empty() {
        return Err(match kind {
            Kind::Memory => "has a host; write memory:///".to_owned(),
            _ => format!("names no bucket; write {}://bucket/prefix", url.scheme()),
        });
    }
    if url.port().is_some() {
        return Err("has a port; an endpoint is set by AWS_ENDPOINT, the URL names the bucket".to_owned());
    }
    let prefix = Path::from_url_path(url.path()).map_err(|error| error.to_string())?;
    if !prefix.is_root() {
        check(prefix.as_ref()).map_err(|error| error.to_string())?;
    }
    if prefix.as_ref().len() > MAX_URL_PREFIX_BYTES {
        return Err(format!("its path is longer than {MAX_URL_PREFIX_BYTES} bytes"));
    }
    Ok(Place::Bucket { kind, bucket, prefix })
}

/// `file:///abs`, also `file:./relative`, which counts from the current folder.
fn file_url(given: &str) -> Result<PathBuf, String> {
    let here = absolute(".")?;
    let here = Url::from_directory_path(&here).map_err(|()| format!("{} is no place to count from", here.display()))?;
    let url = Url::options().base_url(Some(&here)).parse(given).map_err(|error| error.to_string())?;
    if let Some(host) = url.host_str() {
        return Err(format!("{host:?} stands where a host would; write file:///absolute/path or ./relative/path"));
    }
    url.to_file_path().map_err(|()| "is not a path of this machine".to_owned())
}

fn absolute(folder: &str) -> Result<PathBuf, String> {
    path::absolute(folder).map_err(|error| error.to_string())
}

/// Whatever stands before an `@` in the URL's authority, replaced; also in strings that are no URL.
fn without_credentials(given: &str) -> String {
    let start = given.find("//").map_or(0, |at| at + 2);
    let end = given[start..].find(['/', '?', '#']).map_or(given.len(), |at| start + at);
    match given[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &given[..start], &given[start + at..]),
        None => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_place(given: &str, expected: &Place) {
        assert_eq!(parse(given).unwrap().place, *expected, "{given}");
    }

    #[test]
    fn folders() {
        let here = std::env::current_dir().unwrap();
        for (given, folder) in [
            ("file:///abs/a%20b", "/abs/a b".into()),
            ("file:/abs", "/abs".into()),
            ("file://localhost/abs", "/abs".into()),
            ("/abs/100%25", "/abs/100%25".into()),
            ("./data", here.join("data")),
            ("data#1", here.join("data#1")),
            ("file:data", here.join("data")),
            ("file:./data", here.join("data")),
        ] {
            check_place(given, &Place::Folder(folder));
        }
    }

    #[test]
    fn buckets() {
        for (given, kind, bucket, prefix) in [
            ("s3://bucket", Kind::S3, "bucket", ""),
            ("s3://bucket/", Kind::S3, "bucket", ""),
            ("s3://bucket/a/b=1/", Kind::S3, "bucket", "a/b=1"),
            ("gs://bucket/p", Kind::Google, "bucket", "p"),
            ("az://container/p", Kind::Azure, "container", "p"),
            ("memory:///", Kind::Memory, "", ""),
            ("memory:///p", Kind::Memory, "", "p"),
        ] {
            check_place(given, &Place::Bucket { kind, bucket: bucket.to_owned(), prefix: prefix.into() });
        }
    }

    #[test]
    fn a_bad_url_is_one_clear_line_without_credentials() {
        let long = format!("s3://bucket/{}", vec!["p"; 63].join("/"));
        for (given, reason) in [
            ("", "is empty"),
            ("http://host/p", "unknown scheme \"http\""),
            ("s3:///p", "names no bucket"),
            ("s3:bucket", "names no bucket"),
            ("s3://bucket:9000/p", "AWS_ENDPOINT"),
            ("s3://bucket/p?versionId=1", "'?'"),
            ("s3://bucket/a//b", "empty"),
            ("s3://bucket/.hidden", "begins with a dot"),
            ("memory://host/", "memory:///"),
            ("file://data/demo", "\"data\" stands where a host would"),
            ("s3://key:secret@bucket/p", "credentials don't belong in the URL"),
            ("s3://key@bucket/p", "credentials don't belong in the URL"),
            ("http://key:secret@[bad/p", "IPv6"),
            (&long, "longer than 123"),
        ] {
            let error = parse(given).unwrap_err().to_string();
            assert!(error.contains(reason), "{given} gave {error}");
            assert!(!error.contains("key") && !error.contains("secret") && !error.contains('\n'), "{error}");
        }
    }
}
