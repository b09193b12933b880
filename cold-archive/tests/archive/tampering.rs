//! Whatever is done to a sealed archive, `verify` names the file and what is wrong with it.

use std::fs;

use contract::Digest;
use contract::layout::{self, Topic};
use seals::envelope::Envelope;
use seals::manifest::RunFileKind;
use seals::{Manifest, SigningKey};

use crate::lake::{Lake, findings, key, manifest, paths, two_seals};

/// One path of each kind of file that is in the archive.
fn kinds(lake: &Lake) -> Vec<(&'static str, String)> {
    let envelope = Envelope::decode(&fs::read(lake.file(&manifest(2))).unwrap()).unwrap().manifest().unwrap();
    let landed = envelope.landed_files().next().unwrap().file.path.clone();
    let mut kinds = vec![("first seal", manifest(1)), ("last seal", manifest(2)), ("landed", landed)];
    let runs = envelope.runs[0].files.iter().map(|file| {
        let kind = match file.kind {
            RunFileKind::Run => "run",
            RunFileKind::Inputs => "inputs",
            RunFileKind::Bills => "bills",
            RunFileKind::BillsTable => "bills table",
            RunFileKind::PriceBook => "price book",
        };
        (kind, file.file.path.clone())
    });
    kinds.extend(runs);
    assert_eq!(kinds.len(), 8);
    kinds
}

/// The findings with `path` changed so; afterwards it is as before.
async fn with(lake: &Lake, path: &str, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Vec<String> {
    let file = lake.file(path);
    let bytes = fs::read(&file).unwrap();
    match change(&bytes) {
        Some(changed) => fs::write(&file, changed).unwrap(),
        None => fs::remove_file(&file).unwrap(),
    }
    let found = findings(&lake.verify().await);
    fs::write(&file, bytes).unwrap();
    found
}

#[track_caller]
fn check(kind: &str, found: &[String], path: &str, problem: &str) {
    let expected = format!("ARCH-1 {path}: ");
    assert!(
        found.iter().any(|line| line.starts_with(&expected) && line.contains(problem)),
        "{kind} {problem}: {found:#?}"
    );
}

#[tokio::test]
async fn arch_1_a_flip_in_any_kind_of_file_is_located() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    for (kind, path) in kinds(&lake) {
        let length = fs::read(lake.file(&path)).unwrap().len();
        for at in [0, 1, length / 3, length / 2, length - 2, length - 1] {
            let found = with(&lake, &path, |bytes| {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= 1;
                Some(bytes)
            });
            let problem =
                if kind.ends_with("seal") { "" } else { "sha256 differs: manifest archive/seals/00000002.json says" };
            let found = found.await;
            check(kind, &found, &path, problem);
            // The damage is in that file alone, and nothing else is accused of it (a broken seal breaks its links too).
            assert!(kind.ends_with("seal") || found.len() == 1, "{kind}: {found:#?}");
        }
    }
    assert_eq!(findings(&lake.verify().await), [""; 0]);
}

#[tokio::test]
async fn arch_1_loss_truncation_and_growth_of_any_kind_of_file_are_located() {
    let lake = Lake::in_folder();
    let head = two_seals(&lake).await;
    for (kind, path) in kinds(&lake) {
        let (truncated, longer) =
            if kind.ends_with("seal") { ("is no seal", "is no seal") } else { ("truncated", "longer") };
        check(kind, &with(&lake, &path, |bytes| Some(bytes[..bytes.len() - 1].to_vec())).await, &path, truncated);
        check(kind, &with(&lake, &path, |_| Some(vec![])).await, &path, truncated);
        check(kind, &with(&lake, &path, |bytes| Some([bytes, b" "].concat())).await, &path, longer);
        if kind != "last seal" {
            check(kind, &with(&lake, &path, |_| None).await, &path, "missing");
        }
    }
    // The last seal can be dropped unseen, unless the auditor kept the head.
    fs::remove_file(lake.file(&manifest(2))).unwrap();
    let report = lake.verify().await;
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!(report.orphans.len(), 7, "{:?}", report.orphans);
    let found = findings(&lake.verify_from(Some(&head)).await);
    check("rollback", &found, &manifest(2), "missing: rolled back to seal 1");
}

#[tokio::test]
async fn arch_1_swapped_contents_are_located_in_both_files() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    for ending in [".parquet", ".json"] {
        let paths: Vec<_> = paths(&lake, ending).await.into_iter().take(2).collect();
        let [a, b] = [&paths[0], &paths[1]].map(|path| lake.file(path));
        let contents = [fs::read(&a).unwrap(), fs::read(&b).unwrap()];
        fs::write(&a, &contents[1]).unwrap();
        fs::write(&b, &contents[0]).unwrap();
        let found = findings(&lake.verify().await);
        for path in &paths {
            check("swap", &found, path, "differs");
        }
        assert_eq!(found.len(), 2, "{found:#?}");
        fs::write(&a, &contents[0]).unwrap();
        fs::write(&b, &contents[1]).unwrap();
    }
    // Two seals.
    let [a, b] = [1, 2].map(|seq| lake.file(&manifest(seq)));
    let contents = [fs::read(&a).unwrap(), fs::read(&b).unwrap()];
    fs::write(&a, &contents[1]).unwrap();
    fs::write(&b, &contents[0]).unwrap();
    let found = findings(&lake.verify().await);
    check("swap", &found, &manifest(1), "holds seal 2: moved or reordered");
    check("swap", &found, &manifest(2), "holds seal 1: moved or reordered");
}

#[tokio::test]
async fn arch_1_an_edited_manifest_is_located_whatever_is_edited() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    let path = manifest(2);
    // What the file says, in the JSON string inside it, and what someone would rather have it say.
    for (from, to) in [
        (r#"\"rows\":5"#, r#"\"rows\":4"#),
        (r#"\"sealed_at_ms\":1793664000000"#, r#"\"sealed_at_ms\":1793664000001"#),
        (r#"\"to\":12"#, r#"\"to\":13"#),
        (r#"\"type\":\"pixtoll.seal.v1\""#, r#"\"type\":\"pixtoll.seal.v1\",\"x\":0"#),
    ] {
        let found = with(&lake, &path, |bytes| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.contains(from), "{from} is not in {text}");
            Some(text.replacen(from, to, 1).into_bytes())
        });
        check(from, &found.await, &path, "does not fit the manifest");
    }
    // A forger who signs with a key of his own, and puts that key into the file.
    let forged = |bytes: &[u8]| {
        let manifest = Envelope::decode(bytes).unwrap().manifest().unwrap();
        Some(Envelope::sign(&manifest, &SigningKey::from_seed(&[8; 32])).unwrap().encode().unwrap())
    };
    check("another key", &with(&lake, &path, forged).await, &path, "names another public key");
    // The signature of the other seal.
    let other = fs::read_to_string(lake.file(&manifest(1))).unwrap();
    let moved = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        let at = |text: &str| text.find(r#""signature":"#).unwrap();
        Some(format!("{}{}", &text[..at(text)], &other[at(&other)..]).into_bytes())
    };
    check("another signature", &with(&lake, &path, moved).await, &path, "does not fit the manifest");
}

#[tokio::test]
async fn arch_1_all_that_is_wrong_is_listed_at_once_and_orphans_are_no_error() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    for path in ["archive/files/orphan.parquet", "archive/seals/notes.txt"] {
        fs::write(lake.file(path), b"left by someone").unwrap();
    }
    let report = lake.verify().await;
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!(report.orphans, ["archive/seals/notes.txt", "archive/files/orphan.parquet"]);

    let damaged: Vec<_> = kinds(&lake).into_iter().filter(|(kind, _)| !kind.ends_with("seal")).collect();
    for (_, path) in &damaged {
        fs::write(lake.file(path), b"").unwrap();
    }
    let found = findings(&lake.verify().await);
    assert_eq!(found.len(), damaged.len(), "{found:#?}");
    for (kind, path) in &damaged {
        check(kind, &found, path, "truncated");
    }
}

#[tokio::test]
async fn arch_1_an_empty_archive_does_not_pass() {
    let lake = Lake::in_folder();
    lake.land(Topic::Accounts, 0, 1, false).await;
    check("empty", &findings(&lake.verify().await), layout::SEALS, "no seal is here");
}

/// Signs seal 2 anew with what `edit` makes of it: the signer itself lies. Finds `problem` in the file that starts so.
async fn check_lie(lake: &Lake, edit: impl FnOnce(&mut Manifest), path: &str, problem: &str) {
    let file = lake.file(&manifest(2));
    let original = fs::read(&file).unwrap();
    let mut bad = Envelope::decode(&original).unwrap().manifest().unwrap();
    edit(&mut bad);
    bad.totals = bad.count().unwrap();
    fs::write(&file, Envelope::sign(&bad, &key()).unwrap().encode().unwrap()).unwrap();
    let found = findings(&lake.verify().await);
    fs::write(&file, original).unwrap();
    assert!(found.iter().any(|line| line.starts_with(path) && line.contains(problem)), "{problem}: {found:#?}");
}

/// The manifest of seal 2, its last partition and that one's file.
fn second(lake: &Lake) -> (Manifest, usize, String) {
    let seal = Envelope::decode(&fs::read(lake.file(&manifest(2))).unwrap()).unwrap().manifest().unwrap();
    let last = seal.partitions.len() - 1;
    let file = seal.partitions[last].files[0].file.path.clone();
    (seal, last, file)
}

#[tokio::test]
async fn arch_3_a_signed_manifest_that_misdescribes_a_file_is_located() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    let (_, last, file) = second(&lake);
    let file = format!("ARCH-3 {file}: ");
    check_lie(&lake, |seal| seal.partitions[last].files[0].rows -= 1, &file, "its footer says [6, 12), 5 rows").await;
    check_lie(&lake, |seal| seal.partitions[last].files[0].from = 7, &file, "its footer says [6, 12)").await;
    check_lie(&lake, |seal| seal.partitions[last].head_sha256 = Digest::of(b""), &file, "ends with landed segment")
        .await;
}

/// Offsets fit, signatures verify, but the sealed segments hang on to a history that was never sealed.
#[tokio::test]
async fn arch_3_a_file_of_another_history_is_located() {
    let (lake, other) = (Lake::in_folder(), Lake::in_folder());
    two_seals(&lake).await;
    other.land(Topic::Accounts, 0, 6, false).await; // [0, 6), as in the lake, yet other records
    other.sealed(1).await;
    other.land(Topic::Accounts, 0, 5, true).await;
    other.sealed(2).await;
    let (seal, _, file) = second(&other);
    fs::copy(other.file(&file), lake.file(&file)).unwrap();
    let (_, last, _) = second(&lake);
    let theirs = seal.partitions.last().unwrap().clone();
    let problem = "the landed segments before offset 6 are not those that it was chained to";
    check_lie(&lake, |seal| seal.partitions[last] = theirs, &format!("ARCH-3 {file}: "), problem).await;
}

#[tokio::test]
async fn arch_1_a_signed_manifest_that_misdescribes_a_run_is_located() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    let (seal, ..) = second(&lake);
    let [run, inputs, bills] = [0, 1, 2].map(|file| seal.runs[0].files[file].file.path.clone());
    let at = |path: &str| format!("ARCH-1 {path}: ");
    check_lie(&lake, |seal| seal.runs[0].files[2].rows = Some(3), &at(&bills), "rows differ").await;
    check_lie(&lake, |seal| seal.runs[0].files[1].source.push('x'), &at(&run), &format!("another file than {inputs}"))
        .await;
    let others = seal.runs[0].files[1].file.clone();
    check_lie(&lake, |seal| seal.runs[0].files[0].file = others, &at(&inputs), "is not a run").await;
    check_lie(&lake, |seal| seal.runs[0].seq = 2, &at(&manifest(2)), "lists run 2, where run 1 comes next").await;
    check_lie(&lake, |seal| drop(seal.runs[0].files.pop()), &at(&manifest(2)), "one file of each kind").await;
    let uncovered = |seal: &mut Manifest| seal.partitions.last_mut().unwrap().to = 11;
    check_lie(&lake, uncovered, &at(&run), "its cut at offset 12").await;
}
