//! The last of a folder's objects, whose names begin with a number of 20 digits.
//!
//! A cloud lists a thousand names at a time, in their order, from any name on. So the last one is found by jumping ahead
//! in steps that double until nothing is found, and then halving: a few dozen requests for a million names. A local
//! folder gives its names in no order, but a million of them in less than a second.

use std::fs;
use std::io::{self, ErrorKind};
use std::path;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectStore};

/// What a cloud lists by one request.
const PAGE: usize = 1000;

pub(crate) fn in_folder(folder: &path::Path) -> io::Result<Option<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut last: Option<String> = None;
    for entry in entries {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && last.as_deref() < Some(*name)) {
            last = Some(name.to_owned());
        }
    }
    Ok(last)
}

pub(crate) async fn in_cloud(objects: &dyn ObjectStore, folder: &Path) -> object_store::Result<Option<String>> {
    let mut low = match page(objects, folder, 0).await? {
        Page::End(last) => return Ok(last),
        Page::More(last) => number(&last)?,
    };
    // Something stands at `low`, nothing at `high` or after it.
    let (mut high, mut step) = (None, low.max(1));
    loop {
        let from = high.map_or_else(|| low.saturating_add(step), |high: u64| low.midpoint(high));
        match page(objects, folder, from).await? {
            Page::End(Some(last)) => return Ok(Some(last)),
            Page::End(None) if from == low => return Err(odd(folder.as_ref(), "what was listed there is gone")),
            Page::End(None) => high = Some(from),
            Page::More(last) => low = number(&last)?,
        }
        step = step.saturating_mul(2);
    }
}

enum Page {
    /// Nothing stands after this.
    End(Option<String>),
    /// The last of a full page.
    More(String),
}

/// The names whose number is `from` or more, as many as a request gives.
async fn page(objects: &dyn ObjectStore, folder: &Path, from: u64) -> object_store::Result<Page> {
    // The listing begins after this, which is no whole name.
    let before = folder.clone().join(format!("{from:020}"));
    let listed = objects.list_with_offset(Some(folder), &before).take(PAGE);
    let names: Vec<Option<String>> =
        listed.map_ok(|meta| meta.location.filename().map(str::to_owned)).try_collect().await?;
    let full = names.len() == PAGE;
    Ok(match names.into_iter().flatten().next_back() {
        Some(last) if full => Page::More(last),
        last => Page::End(last),
    })
}

fn number(name: &str) -> object_store::Result<u64> {
    let digits = name.get(..20).and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| odd(name, "its name does not begin with a number of 20 digits"))
}

fn odd(path: &str, why: &str) -> Error {
    Error::Generic { store: "listing", source: format!("{path}: {why}").into() }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt as _, PutPayload};

    use super::*;

    /// Names in both kinds of store, of which the last is found.
    async fn check(numbers: impl IntoIterator<Item = u64>, suffix: &str) {
        let folder = Path::from("a/b");
        let (cloud, local) = (InMemory::new(), tempfile::tempdir().unwrap());
        let mut expected = None;
        for number in numbers {
            let name = format!("{number:020}{suffix}");
            cloud.put(&folder.clone().join(name.as_str()), PutPayload::new()).await.unwrap();
            fs::write(local.path().join(&name), b"").unwrap();
            expected = expected.max(Some(name));
        }
        cloud.put(&Path::from("a/c"), PutPayload::new()).await.unwrap();
        fs::write(local.path().join(".temporary"), b"").unwrap();
        assert_eq!(in_cloud(&cloud, &folder).await.unwrap(), expected);
        assert_eq!(in_folder(local.path()).unwrap(), expected);
    }

    #[tokio::test]
    async fn the_last_name_is_found_among_few_and_many() {
        check([], "").await;
        check([0], ".parquet").await;
        check(0..999, ".parquet").await;
        check(0..1000, ".parquet").await;
        check(0..1001, ".parquet").await;
        check((0..5000).map(|n| n * 200_000), ".parquet").await;
        // One far ahead, and a crowd at the end.
        check((0..1000).chain([u64::from(u32::MAX)]), ".parquet").await;
        check([0, 7_000_000].into_iter().chain(9_000_000..9_003_000), ".gap.parquet").await;
        assert_eq!(in_folder(path::Path::new("/nonexistent/folder")).unwrap(), None);
    }
}
