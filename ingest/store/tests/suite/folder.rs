//! What only a folder can get wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use store::{Put, Store, StoreError};

const HELLO: Bytes = Bytes::from_static(b"hello");

#[tokio::test]
async fn the_name_on_disk_is_the_name_and_nothing_else_is_left() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("new/root"));
    let path = "landing/usage.events/epoch=0/partition=00003/00000000000000000000.parquet";
    store.create(path, HELLO).await.unwrap();
    store.create(path, HELLO).await.unwrap();
    assert_eq!(fs::read(root.path().join("new/root").join(path)).unwrap(), HELLO);
    let temps: Vec<_> = fs::read_dir(root.path().join("new/root/.tmp")).unwrap().collect();
    assert!(temps.is_empty(), "{temps:?}");
}

#[tokio::test]
async fn leftovers_are_hidden_and_swept_after_a_day() {
    let root = tempfile::tempdir().unwrap();
    open(root.path());
    let (old, fresh) = (root.path().join(".tmp/1#1"), root.path().join(".tmp/1#2"));
    for (file, age_hours) in [(&old, 25), (&fresh, 23)] {
        fs::write(file, b"torn").unwrap();
        let written = fs::metadata(file).unwrap().modified().unwrap();
        fs::File::open(file).unwrap().set_modified(written - Duration::from_hours(age_hours)).unwrap();
    }
    let store = open(root.path());
    assert!(!old.exists() && fresh.exists());
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.list_dirs("").await.unwrap(), [""; 0]);
    assert!(store.get(".tmp/1#2").await.is_err());
}

#[tokio::test]
async fn a_folder_that_was_removed_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.create("a/b/1", HELLO).await.unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    assert_eq!(store.create("a/b/2", HELLO).await.unwrap(), Put::Created);
}

#[tokio::test]
async fn links_and_things_that_are_no_files_are_refused() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(root.path());
    symlink(outside.path(), root.path().join("link")).unwrap();
    symlink("/nowhere/at/all", root.path().join("dangling")).unwrap();
    fs::create_dir(root.path().join("folder")).unwrap();
    fs::write(root.path().join("file"), b"").unwrap();
    for path in ["link/a", "dangling", "dangling/a", "folder", "file/a"] {
        let error = store.create(path, HELLO).await.unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{path} gave {error:?}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(store.create("good", HELLO).await.unwrap(), Put::Created, "a refusal is not fatal");
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let missing = Store::open_read_only(root.path().join("missing").to_str().unwrap()).unwrap_err();
    assert!(matches!(missing, StoreError::BadUrl { .. }), "{missing:?}");
    open(&root.path().join("there")).create("a", HELLO).await.unwrap();
    fs::remove_dir(root.path().join("there/.tmp")).unwrap();
    let reader = Store::open_read_only(root.path().join("there").to_str().unwrap()).unwrap();
    assert_eq!(reader.get("a").await.unwrap(), Some(HELLO));
    assert!(reader.create("b", HELLO).await.is_err());
    assert_eq!(fs::read_dir(root.path().join("there")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_place_where_nothing_can_be_written_is_refused_at_open() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), b"").unwrap();
    for place in [root.path().join("file"), root.path().join("file/below"), "/proc/self".into()] {
        let error = Store::open(place.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{error:?}");
        assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    }
}

/// Two stores of one process, as two processes would, and a fresh file is as readable as the umask says.
#[tokio::test]
async fn two_stores_on_one_folder_share_names() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (open(root.path()), open(root.path()));
    assert_eq!(one.create("a/b", HELLO).await.unwrap(), Put::Created);
    assert_eq!(two.create("a/b", HELLO).await.unwrap(), Put::AlreadySame);
    assert_eq!(two.create("a/c", HELLO).await.unwrap(), Put::Created);
    assert_eq!(one.create("a/c", Bytes::new()).await.unwrap(), Put::AlreadyOther);
    assert_ne!(fs::metadata(root.path().join("a/b")).unwrap().permissions().mode() & 0o400, 0);
}

fn open(root: &Path) -> Store {
    Store::open(root.to_str().unwrap()).unwrap()
}
