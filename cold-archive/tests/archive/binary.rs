//! The binary as people run it, and as machines kill it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

use contract::layout::Topic;
use seals::envelope::Envelope;

use crate::lake::{Lake, findings, key, manifest};

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cold-archive"));
    for name in ["PIXTOLL_STORE", "PIXTOLL_ARCHIVE", "PIXTOLL_SIGNING_KEY", "PIXTOLL_PUBLIC_KEY", "PIXTOLL_LOG"] {
        command.env_remove(name);
    }
    command.args(args).envs(env.iter().copied()).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    assert!(out.contains(stdout), "{stdout:?} is not in {out}");
    assert!(err.contains(stderr), "{stderr:?} is not in {err}");
}

/// A folder with the test's key in it, and a lake with something to seal.
async fn lake_with_keys() -> (Lake, String, String, String) {
    let lake = Lake::in_folder();
    lake.land(Topic::Accounts, 0, 3, true).await;
    lake.land(Topic::Requests, 0, 4, false).await;
    lake.finalize(0).await;
    let [store, private, public] = ["", "keys/seal.pem", "keys/seal.pem.pub"].map(|path| lake.file(path));
    fs::create_dir(lake.file("keys")).unwrap();
    fs::write(&private, key().to_pem().unwrap().as_bytes()).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&public, key().public_key().to_pem().unwrap()).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (store, private, public) = (text(&store), text(&private), text(&public));
    (lake, store, private, public)
}

#[test]
fn keygen_writes_once_and_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seal.pem");
    let public = folder.path().join("seal.pem.pub");
    let out = file.to_str().unwrap();
    let made = run(&["keygen", "--out", out], &[("PIXTOLL_LOG", "trace")]);
    check(&made, 0, "seal.pem.pub", "");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let pem = fs::read_to_string(&file).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let said = [&made.stdout[..], &made.stderr[..]].concat();
    assert!(!String::from_utf8_lossy(&said).contains(&secret[24..]), "the private key was shown");
    let pair = seals::SigningKey::from_pem(&pem).unwrap().public_key();
    assert_eq!(seals::PublicKey::from_pem(&fs::read_to_string(&public).unwrap()).unwrap(), pair);

    check(&run(&["keygen", "--out", out], &[]), 2, "", "seal.pem exists; a key is never overwritten");
    assert_eq!(fs::read_to_string(&file).unwrap(), pem);
    fs::remove_file(&file).unwrap();
    check(&run(&["keygen", "--out", out], &[]), 2, "", "seal.pem.pub exists");
    assert!(!file.exists());
}

#[tokio::test]
async fn arch_1_seal_and_verify_as_a_person_does() {
    let (lake, store, private, public) = lake_with_keys().await;
    let seal = ["seal", "--store", &store, "--key", &private];
    check(&run(&seal, &[]), 0, "seal 1: 7 files, 7 rows", "");
    check(&run(&seal, &[]), 0, "nothing to seal", "");
    let from_env = [("PIXTOLL_STORE", &*store), ("PIXTOLL_PUBLIC_KEY", &*public)];
    let verified = run(&["verify"], &from_env);
    check(&verified, 0, "ARCH-1 holds: 1 of 1 seals signed", "");
    check(&verified, 0, "ARCH-3 holds: 2 partitions in 2 files; 7 rows of 2 landed segments", "");
    let text = String::from_utf8(verified.stdout).unwrap();
    let head = text.lines().find_map(|line| line.strip_prefix("head ")).unwrap().split(' ').next().unwrap().to_owned();
    check(&run(&["verify", "--expect-head", &head], &from_env), 0, "", "");

    let sealed = Envelope::decode(&fs::read(lake.file(&manifest(1))).unwrap()).unwrap().manifest().unwrap();
    let flipped = sealed.partitions[1].files[0].file.path.clone();
    let mut bytes = fs::read(lake.file(&flipped)).unwrap();
    bytes[100] ^= 1;
    fs::write(lake.file(&flipped), bytes).unwrap();
    let found = run(&["verify"], &from_env);
    check(&found, 1, &format!("WRONG  ARCH-1 {flipped}: sha256 differs"), "");
    check(&found, 1, "(holds landing/accounts/epoch=0/partition=00000, offsets [0, 4))", "");
    check(&found, 1, "ARCH-1 BROKEN: 1 of 1 seals signed", "");
    check(&found, 1, "ARCH-3 not shown: 2 partitions", "");

    let json = run(&["verify", "--json"], &from_env);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.status.code(), Some(1));
    assert_eq!(report["findings"][0]["path"], *flipped);
    assert_eq!(report["findings"][0]["invariant"], "ARCH-1");
    assert_eq!(report["head"], *head);

    fs::remove_file(lake.file(&manifest(1))).unwrap();
    check(&run(&["verify", "--expect-head", &head], &from_env), 1, "there is no seal at all", "");
}

#[tokio::test]
async fn a_mistake_is_one_line_and_exit_code_2() {
    let (_lake, store, private, public) = lake_with_keys().await;
    for (args, line) in [
        (&["seal", "--store", &store][..], "--key"),
        (&["seal", "--store", &store, "--key", "/nowhere"], "signing key /nowhere: No such file"),
        (&["seal", "--store", &store, "--key", &public], "is not an Ed25519 private key"),
        (&["seal", "--store", "http://x/", "--key", &private], "unknown scheme"),
        (&["verify", "--store", &store, "--public-key", &private], "is a private key; the public one is wanted"),
        (&["verify", "--store", &store, "--public-key", &public, "--expect-head", "3"], "SEQ:SHA256"),
        (&["verify", "--store", "/nowhere/at/all", "--public-key", &public], "/nowhere/at/all"),
    ] {
        let output = run(args, &[]);
        check(&output, 2, "", line);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
    check(&run(&["verify", "--help"], &[]), 0, "PIXTOLL_PUBLIC_KEY", "");
    check(&run(&["--help"], &[]), 0, "cold-archive verify --archive s3://", "");
}

/// At each point of a seal: the process dies, the next one does the work, and nothing is there twice.
#[tokio::test]
async fn arch_3_a_killed_seal_is_made_again() {
    let mut points: Vec<(String, bool)> =
        vec![("seal-files-written".into(), false), ("seal-manifest-written".into(), true)];
    for put in [1, 2, 5, 8] {
        // Seven files and then the manifest, which is the commit.
        points.push((format!("store-temp-written:{put}"), false));
        points.push((format!("store-linked:{put}"), put == 8));
    }
    for (point, committed) in points {
        let (lake, store, private, _) = lake_with_keys().await;
        let seal = ["seal", "--store", &store, "--key", &private];
        let killed = run(&seal, &[("PIXTOLL_KILL_AT", &point)]);
        assert_eq!(killed.status.signal(), Some(9), "{point} was not reached: {killed:?}");
        assert_eq!(lake.file(&manifest(1)).exists(), committed, "{point}");
        if !committed {
            let report = lake.verify().await;
            assert!(report.findings[0].problem.contains("no seal is here"), "{point}: {report:?}");
        }
        check(&run(&seal, &[]), 0, if committed { "nothing to seal" } else { "seal 1: 7 files, 7 rows" }, "");
        let report = lake.verify().await;
        assert_eq!(findings(&report), [""; 0], "{point}");
        assert_eq!(report.orphans, [""; 0], "{point}: the files of a killed seal were not used");
        assert!(!lake.file(&manifest(2)).exists());
    }
}
