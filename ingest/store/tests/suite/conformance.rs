//! One suite for every backend.

use bytes::Bytes;
use futures::TryStreamExt;
use store::{Entry, Put, Store, StoreError};

use crate::s3;

const SEGMENT: &str = "landing/resize.requests/epoch=0/partition=00000/00000000000000000000.parquet";
const WRITERS: u8 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    conformance(&Store::open("memory:///").unwrap()).await;
    conformance(&Store::open("memory:///a/prefix").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn file() {
    let root = tempfile::tempdir().unwrap();
    conformance(&Store::open(&format!("file://{}/made here", root.path().display())).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3() {
    conformance(&Store::open(&s3::fresh_url("conformance")).unwrap()).await;
}

async fn conformance(store: &Store) {
    nothing_is_there(store).await;
    a_name_is_given_once(store).await;
    names_are_the_same_everywhere(store).await;
    listings_are_sorted_and_whole(store).await;
    reads_are_limited(store).await;
    bad_paths_are_refused(store).await;
    for round in 0..8 {
        a_race_has_one_winner(store, round).await;
    }
    a_race_of_equals_is_done_once(store).await;
}

async fn nothing_is_there(store: &Store) {
    assert_eq!(store.get("no/thing").await.unwrap(), None);
    assert_eq!(store.size("no/thing").await.unwrap(), None);
    for prefix in ["", "no", "no/thing/"] {
        assert_eq!(store.list(prefix).await.unwrap(), []);
        assert_eq!(store.list_dirs(prefix).await.unwrap(), [""; 0]);
    }
}

async fn a_name_is_given_once(store: &Store) {
    let large = vec![7; 9 << 20];
    for (path, first, others) in [
        ("once/small", &b"abc"[..], [&b"abd"[..], b"abcd", b"ab", b""]),
        ("once/empty", b"", [b"a", b"ab", b"abc", b"abcd"]),
        ("once/large", &large, [b"", b"a", &large[1..], &[vec![8], large[1..].to_vec()].concat()]),
    ] {
        let first = Bytes::copy_from_slice(first);
        assert_eq!(store.create(path, first.clone()).await.unwrap(), Put::Created, "{path}");
        for other in others {
            assert_eq!(store.create(path, first.clone()).await.unwrap(), Put::AlreadySame, "{path}");
            let put = store.create(path, Bytes::copy_from_slice(other)).await.unwrap();
            assert_eq!(put, Put::AlreadyOther, "{path}");
        }
        assert_eq!(store.size(path).await.unwrap(), Some(first.len() as u64), "{path}");
        assert!(store.get(path).await.unwrap().unwrap() == first, "{path} changed");
    }
}

async fn names_are_the_same_everywhere(store: &Store) {
    for name in [SEGMENT, "names/%41", "names/A", "names/with space", "names/x@1,2+3~(4)'5:6!&=$", "names/Grün.jpg"] {
        let bytes = Bytes::from(name);
        assert_eq!(store.create(name, bytes.clone()).await.unwrap(), Put::Created, "{name}");
        assert_eq!(store.get(name).await.unwrap(), Some(bytes), "{name}");
        let folder = name.rsplit_once('/').unwrap().0;
        let listed = store.list(folder).await.unwrap();
        assert!(listed.contains(&Entry { path: name.to_owned(), size: name.len() as u64 }), "{name} not in {listed:?}");
        let seen: Vec<_> = store.objects().list(Some(&folder.into())).try_collect().await.unwrap();
        assert!(seen.iter().any(|meta| meta.location.as_ref() == name), "{name} not in {seen:?}");
    }
}

async fn listings_are_sorted_and_whole(store: &Store) {
    for path in ["list/b/2", "list/b/10", "list/a/x/y/z", "list/a.txt", "listing", "list/ba/1"] {
        store.create(path, Bytes::from_static(b"12345")).await.unwrap();
    }
    let check = async |prefix: &str, paths: &[&str], folders: &[&str]| {
        let expected: Vec<_> = paths.iter().map(|path| Entry { path: (*path).to_owned(), size: 5 }).collect();
        assert_eq!(store.list(prefix).await.unwrap(), expected, "{prefix}");
        assert_eq!(store.list_dirs(prefix).await.unwrap(), folders, "{prefix}");
    };
    let all = ["list/a.txt", "list/a/x/y/z", "list/b/10", "list/b/2", "list/ba/1"];
    check("list", &all, &["list/a", "list/b", "list/ba"]).await;
    check("list/", &all, &["list/a", "list/b", "list/ba"]).await;
    check("list/b", &["list/b/10", "list/b/2"], &[]).await;
    check("list/a/x", &["list/a/x/y/z"], &["list/a/x/y"]).await;
    check("list/a.txt", &[], &[]).await;
    let everything = store.list("").await.unwrap();
    assert!(everything.is_sorted_by(|a, b| a.path < b.path) && everything.len() > 6, "{everything:?}");
    assert_eq!(store.list_dirs("").await.unwrap(), ["landing", "list", "names", "once"]);
}

async fn reads_are_limited(store: &Store) {
    store.create("limited", Bytes::from_static(b"12345")).await.unwrap();
    assert_eq!(store.get_limited("limited", 5).await.unwrap().unwrap(), "12345");
    let error = store.get_limited("limited", 4).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { size_bytes: 5, limit_bytes: 4, .. }), "{error:?}");
    assert_eq!(store.get_limited("not there", 0).await.unwrap(), None);
}

async fn bad_paths_are_refused(store: &Store) {
    for path in ["", "/a", "a/", "a//b", "../a", "a/./b", ".tmp/a", "a\\b", "a\0", "a#1"] {
        for error in [
            store.create(path, Bytes::new()).await.unwrap_err(),
            store.get(path).await.unwrap_err(),
            store.size(path).await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::BadPath { .. }), "{path:?} gave {error:?}");
        }
    }
    assert!(matches!(store.list("../a").await, Err(StoreError::BadPath { .. })));
    assert!(matches!(store.list_dirs("../a").await, Err(StoreError::BadPath { .. })));
}

/// Writers with bytes of their own, and readers who must see nothing or one writer's whole bytes.
async fn a_race_has_one_winner(store: &Store, round: usize) {
    let path = format!("race/{round}/name");
    let bytes_of = |writer: u8| Bytes::from(vec![writer; 200_000]);
    let mut writers = tokio::task::JoinSet::new();
    let mut readers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, path) = (store.clone(), path.clone());
        writers.spawn(async move { (writer, store.create(&path, bytes_of(writer)).await.unwrap()) });
    }
    for _ in 0..2 {
        let (store, path) = (store.clone(), path.clone());
        readers.spawn(async move {
            loop {
                if let Some(seen) = store.get(&path).await.unwrap() {
                    return seen;
                }
            }
        });
    }
    let answers = writers.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(_, put)| *put == Put::Created).map(|(writer, _)| *writer).collect();
    let losers = answers.iter().filter(|(_, put)| *put == Put::AlreadyOther).count();
    assert_eq!((winners.len(), losers), (1, usize::from(WRITERS) - 1), "{answers:?}");
    assert!(store.get(&path).await.unwrap().unwrap() == bytes_of(winners[0]), "the winner's bytes were replaced");
    for seen in readers.join_all().await {
        assert!(seen == bytes_of(winners[0]), "a reader saw {} bytes that were not the winner's", seen.len());
    }
}

async fn a_race_of_equals_is_done_once(store: &Store) {
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move { store.create("race/equals", Bytes::from_static(b"same")).await.unwrap() });
    }
    let answers = writers.join_all().await;
    let count = |wanted: Put| answers.iter().filter(|put| **put == wanted).count();
    assert_eq!((count(Put::Created), count(Put::AlreadySame)), (1, usize::from(WRITERS) - 1), "{answers:?}");
}
