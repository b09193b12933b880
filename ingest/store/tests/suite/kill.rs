//! Killed at each step, the name is absent or whole, and the same create made again succeeds.
//!
//! The test runs itself as a child process that has one kill point armed, and fails unless it saw that child die.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use bytes::Bytes;
use futures::TryStreamExt;
use store::{Put, Store};

use crate::s3;

const CHILD_URL: &str = "PIXTOLL_TEST_STORE_CHILD_URL";
const PATH: &str = "a/new/folder/name";
const SIGKILL: i32 = 9;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Absent,
    Whole,
}

#[tokio::test]
async fn file() {
    for (point, left) in [
        ("store-before-put", Left::Absent),
        ("store-temp-opened", Left::Absent),
        ("store-temp-written", Left::Absent),
        ("store-folders-made", Left::Absent),
        ("store-linked", Left::Whole),
        ("store-temp-removed", Left::Whole),
        ("store-folder-synced", Left::Whole),
        ("store-after-put", Left::Whole),
    ] {
        let root = tempfile::tempdir().unwrap();
        check(root.path().to_str().unwrap(), point, left).await;
    }
}

#[tokio::test]
async fn s3() {
    for (point, left) in [("store-before-put", Left::Absent), ("store-after-put", Left::Whole)] {
        check(&s3::fresh_url("kill"), point, left).await;
    }
}

async fn check(url: &str, point: &str, left: Left) {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(CHILD_URL, url)
        .env("PIXTOLL_KILL_AT", format!("{point}:1"))
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), Some(SIGKILL), "{point}: the child was not killed: {child:?}");

    let looker = Store::open_read_only(url).unwrap();
    let found = looker.get(PATH).await.unwrap();
    assert!(found.is_none() || found == Some(bytes()), "{point}: the name is neither absent nor whole");
    assert_eq!(found.is_some(), left == Left::Whole, "{point}");
    let listed: Vec<_> = looker.objects().list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), usize::from(left == Left::Whole), "{point}: a temporary file shows: {listed:?}");

    let put = Store::open(url).unwrap().create(PATH, bytes()).await.unwrap();
    assert_eq!(put, if left == Left::Whole { Put::AlreadySame } else { Put::Created }, "{point}");
    assert!(looker.get(PATH).await.unwrap() == Some(bytes()), "{point}");
}

/// Not a test by itself: what the children do.
#[tokio::test]
async fn child() {
    let Ok(url) = env::var(CHILD_URL) else { return };
    Store::open(&url).unwrap().create(PATH, bytes()).await.unwrap();
}

fn bytes() -> Bytes {
    Bytes::from(vec![b'x'; 3 << 20])
}
