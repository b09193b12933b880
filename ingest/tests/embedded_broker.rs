//! The real binary against librdkafka's embedded broker, which lives in this process. It can't create topics or tell
//! their settings, and has no append time, so everything here runs under `--producer-times`.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::layout::{self, Topic};
use contract::request::Received;
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{AccountVersion, BrokerTime, Digest, ResizeRequest, UsageEvent, units};
use log::{Consumer, KafkaArgs, Owner, Partition, Producer, Reset, Settings, Start};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;
use store::Store;

struct Bench {
    _broker: MockCluster<'static, DefaultProducerContext>,
    brokers: String,
    folder: tempfile::TempDir,
}

struct FromStart;

impl Owner for FromStart {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

/// A request as it was found on the log.
struct Found {
    position: RequestPosition,
    accepted_at: BrokerTime,
    received: Received,
}

impl Bench {
    fn new() -> Self {
        let broker = MockCluster::new(1).unwrap();
        for topic in Topic::ALL {
            broker.create_topic(topic.name(), 3, 1).unwrap();
        }
        let brokers = broker.bootstrap_servers();
        Self { _broker: broker, brokers, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, command: &str) -> Command {
        let mut ingest = Command::new(env!("CARGO_BIN_EXE_ingest"));
        ingest.current_dir(self.folder.path()).args(command.split_whitespace());
        ingest.args(["--brokers", &self.brokers, "--producer-times"]);
        ingest
    }

    fn run(&self, command: &str) -> Output {
        self.command(command).output().unwrap()
    }

    /// What a run that must succeed says on stdout.
    fn ok(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a run that must fail with this exit code says on stderr.
    fn fails(&self, code: i32, command: &str) -> String {
        let output = self.run(command);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    fn kafka(&self) -> Settings {
        let (brokers, options, topic_prefix) = (self.brokers.clone(), Vec::new(), String::new());
        KafkaArgs { brokers, options, producer_times: true, topic_prefix }.settings().unwrap()
    }

    fn store(&self) -> Store {
        Store::open(self.path("data").to_str().unwrap()).unwrap()
    }

    /// All requests on the log.
    fn requests(&self) -> Vec<Found> {
        let topic = Topic::Requests;
        let consumer = Consumer::read_all(&self.kafka(), &[topic], Reset::Earliest, Arc::new(FromStart)).unwrap();
        let high = |partition| consumer.watermarks(Partition { topic, partition }).unwrap().1;
        let count = usize::try_from((0..3).map(high).sum::<i64>()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let mut found = Vec::new();
        while found.len() < count {
            assert!(Instant::now() < until, "{} of {count} requests came", found.len());
            let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
            let polled = polled.unwrap();
            let position = RequestPosition { partition: polled.at.partition, offset: polled.offset };
            let received = ResizeRequest::from_record(&polled.record()).unwrap();
            found.push(Found { position, accepted_at: polled.appended_at, received });
        }
        found
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first column.
fn ids(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn ids_of(found: &[Found]) -> BTreeSet<String> {
    found.iter().map(|f| f.received.request.request_id.to_string()).collect()
}

fn set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

const JPEG: &[u8] = b"\xff\xd8\xff one";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n two";

#[test]
fn accounts_are_numbered_and_keep_keys_by_their_hash_only() {
    let bench = Bench::new();
    assert_eq!(bench.ok("accounts list").lines().count(), 1); // the heads of the columns
    let add = "accounts add --customer acme --currency EUR --json";
    let first = lines(&bench.ok(&format!("{add} --plan starter --api-key-id k1 --requests-per-second 50"))).remove(0);
    let key = first["api_key"].as_str().unwrap();
    assert_eq!((first["version"].as_u64(), key.len()), (Some(1), 64));
    bench.ok(&format!("{add} --plan pro --effective-from 2026-12-01T00:00:00Z"));
    bench.ok("accounts add --customer other --plan starter --currency USD");

    let history = lines(&bench.ok("accounts list --customer acme --history --json"));
    let versions: Vec<AccountVersion> = history.iter().map(|v| serde_json::from_value(v.clone()).unwrap()).collect();
    assert_eq!(versions.iter().map(|v| (v.version, v.plan.as_str())).collect::<Vec<_>>(), [(1, "starter"), (2, "pro")]);
    assert_eq!(versions[1].effective_from, "2026-12-01T00:00:00Z".parse().unwrap());
    assert_eq!(versions[1].api_keys[0].sha256, Digest::of(key.as_bytes()));
    assert_eq!(versions[1].limits.requests_per_second, Some(50));
    assert!(history.iter().all(|v| v["counts"] == true && v.get("api_key").is_none()));

    let newest = bench.ok("accounts list");
    assert!(newest.contains("pro") && newest.contains("other") && !newest.contains(key), "{newest}");
    assert_eq!(newest.lines().count(), 3);
    let twice = bench.fails(2, &format!("{add} --plan pro --api-key-id k1"));
    assert!(twice.contains("--api-key-id k1"), "{twice}");
}

#[test]
fn of_accounts_added_at_once_each_number_is_told_to_one() {
    let bench = Bench::new();
    let adds: Vec<_> = (0..6)
        .map(|_| {
            let mut add = bench.command("accounts add --customer acme --plan pro --currency EUR --json");
            add.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<_> = adds.into_iter().map(|add| add.wait_with_output().unwrap()).collect();
    let (won, lost): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.status.success());
    for output in &lost {
        let error = text(&output.stderr);
        assert!(error.contains("does not count") && output.status.code() == Some(1), "{error}");
    }
    let told: BTreeSet<u64> = won.iter().map(|o| lines(&text(&o.stdout))[0]["version"].as_u64().unwrap()).collect();
    let versions = u64::try_from(won.len()).unwrap();
    assert_eq!(told, (1..=versions).collect());
    let history = lines(&bench.ok("accounts list --history --json"));
    let counting: Vec<_> = history.iter().filter(|v| v["counts"] == true).map(|v| v["version"].as_u64()).collect();
    assert_eq!(counting, (1..=versions).map(Some).collect::<Vec<_>>());
    assert_eq!(history.len(), 6);
}

#[test]
fn publish_uploads_by_content_and_sends_each_request_once() {
    let bench = Bench::new();
    bench.write("photos/a.jpg", JPEG);
    bench.write("photos/b.png", PNG);
    bench.write("photos/same.jpg", JPEG);
    let command = "publish --customer acme --size 320x240 --size x64 --format webp --format png --quality 70 \
                   --key-id k1 photos/*";
    let sent = bench.ok(command);
    assert_eq!(sent.lines().count(), 12);
    assert!(sent.lines().nth(1).unwrap().ends_with("\tphotos/a.jpg\t320x240\tpng"), "{sent}");

    let found = bench.requests();
    assert_eq!((found.len(), ids_of(&found)), (12, set(&ids(&sent))));
    for Found { received, .. } in &found {
        assert_eq!(received.attempt.key_id, Some("k1".parse().unwrap()));
        let source = &received.request.source;
        assert_eq!((&source.inline, &source.location, received.request.resize.quality), (&None, &None, Some(70)));
        assert!(bench.path("data").join(layout::source(&"acme".parse().unwrap(), &source.sha256)).is_file());
    }
    assert_eq!(fs::read_dir(bench.path("data/sources/acme")).unwrap().count(), 2);

    let name = format!("pixtoll-publish-{}.jsonl", ids(&sent)[0]);
    assert_eq!(bench.ok(&format!("{command} --journal {name}")), sent);
    assert_eq!(bench.requests().len(), 12, "what was acknowledged is not sent again");
    assert_eq!(bench.ok(&format!("{command} --journal {name} --resend")), sent);
    let found = bench.requests();
    assert_eq!((found.len(), ids_of(&found).len()), (24, 12));

    bench.write("photos/c.jpg", b"new");
    let other = bench.fails(2, &format!("{command} --journal {name}"));
    assert!(other.contains("is of another run: 12 requests, not 16"), "{other}");
    assert_eq!(bench.requests().len(), 24);
}

#[test]
fn a_publisher_killed_while_sending_goes_on_with_the_same_ids() {
    let bench = Bench::new();
    for n in 0..20_u8 {
        bench.write(&format!("{n}.jpg"), &[n]);
    }
    let command = "publish --customer acme --size 64x64 --journal run.jsonl --inline *.jpg";
    for point in ["after-produce:5", "after-produce:8"] {
        let killed = bench.command(command).env("PIXTOLL_KILL_AT", point).output().unwrap();
        assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed.stderr));
    }
    let ids = ids(&bench.ok(command));
    assert_eq!((ids.len(), set(&ids)), (20, ids_of(&bench.requests())));
    let journal = fs::read_to_string(bench.path("run.jsonl")).unwrap();
    assert!(ids.iter().all(|id| journal.matches(id.as_str()).count() == 2), "planned and acknowledged once each");
    assert!(!bench.path("data").exists(), "what is inlined needs no store");
}

/// A worker of sorts: answers each request by what stands in its image.
async fn answer_all(bench: &Bench, found: &[Found]) {
    let (producer, store) = (Producer::new(&bench.kafka()).unwrap(), bench.store());
    for Found { position, accepted_at, received } in found {
        let (conversion, resize) = (received.conversion(), &received.request.resize);
        let source =
            store.get(&layout::source(&conversion.customer_id, &received.request.source.sha256)).await.unwrap();
        let source = source.unwrap();
        let mut location = layout::result(&conversion);
        let outcome = if source == "reject" {
            Outcome::Rejected { reason: Reason::CorruptImage, detail: "no\nimage".to_owned() }
        } else {
            let image = format!("{:?} of {}", resize.format, text(&source));
            store.create(&location, image.into()).await.unwrap();
            if source == "escape" {
                location = String::from("../../etc/passwd");
            }
            Outcome::Done { location, width: 3, height: 2 }
        };
        let event = UsageEvent {
            customer_id: conversion.customer_id,
            request_id: conversion.request_id,
            fingerprint: conversion.fingerprint,
            request: *position,
            accepted_at: *accepted_at,
            outcome,
            usage: Usage {
                input_bytes: units::Bytes::ZERO,
                output_bytes: units::Bytes::ZERO,
                input_pixels: units::Pixels::ZERO,
                output_pixels: units::Pixels::ZERO,
                cpu_micros: units::CpuMicros::ZERO,
                operation: "resize".parse().unwrap(),
                input_format: None,
                output_format: None,
                worker_class: "test".parse().unwrap(),
                engine_version: "0".parse().unwrap(),
                key_id: None,
                region: "local".parse().unwrap(),
            },
        };
        producer.send(Topic::Usage, &event.to_record().unwrap()).await.unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_saves_what_was_done_and_says_why_the_rest_was_not() {
    let bench = Bench::new();
    bench.write("a/cat.jpg", JPEG);
    bench.write("b/cat.jpg", PNG);
    let command = "publish --customer acme --size 9x9 --format webp --journal run.jsonl --out out --wait --timeout";
    let silent = bench.fails(1, &format!("{command} 1s a/cat.jpg b/cat.jpg"));
    assert!(silent.contains("2 not answered within 1s (2 of 2 sent, 0 answered)"), "{silent}");
    assert!(silent.trim_end().ends_with("--journal run.jsonl"), "{silent}");

    answer_all(&bench, &bench.requests()).await;
    let answered = bench.ok(&format!("{command} 30s a/cat.jpg b/cat.jpg"));
    assert_eq!(bench.requests().len(), 2, "the answers came before this run, and nothing was asked again");
    assert_eq!(answered.matches("\tdone\t").count(), 2, "{answered}");
    assert_eq!(names(&bench.path("out")), ["cat-9x9-2.webp", "cat-9x9.webp"]);
    let image = |source: &[u8]| format!("Some(Webp) of {}", text(source)).into_bytes();
    assert_eq!(fs::read(bench.path("out/cat-9x9.webp")).unwrap(), image(JPEG));
    assert_eq!(fs::read(bench.path("out/cat-9x9-2.webp")).unwrap(), image(PNG));

    for word in ["reject", "escape", "good"] {
        bench.write(word, word.as_bytes());
    }
    let command = "publish --customer acme --size 9x9 --journal bad.jsonl --out bad --json";
    bench.ok(&format!("{command} reject escape good"));
    answer_all(&bench, &bench.requests()).await;
    let output = bench.run(&format!("{command} --wait reject escape good"));
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("2 not done") && error.contains("3 of 3 sent, 3 answered"), "{error}");
    let answers = lines(&text(&output.stdout));
    let of = |file: &str| answers.iter().find(|a| a["file"] == file && a.get("outcome").is_some()).unwrap();
    assert_eq!((&of("reject")["outcome"], &of("reject")["reason"]), (&"rejected".into(), &"corrupt_image".into()));
    assert_eq!(of("escape")["outcome"], "not_saved");
    assert!(of("escape")["detail"].as_str().unwrap().starts_with("the answer names another place"));
    assert_eq!((&of("good")["outcome"], &of("good")["width"]), (&"done".into(), &3.into()));
    assert_eq!(names(&bench.path("bad")), ["good-9x9.img"]);
}

#[test]
fn an_interrupted_wait_says_how_far_it_came() {
    let bench = Bench::new();
    bench.write("a.jpg", JPEG);
    let mut command = bench.command("publish --customer acme --size 9x9 --journal run.jsonl --wait a.jpg");
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let journal = || fs::read_to_string(bench.path("run.jsonl")).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(20);
    while !journal().contains("acked") {
        assert!(Instant::now() < until, "nothing was sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("stopped (1 of 1 sent, 0 answered); to go on"), "{error}");
}

#[test]
fn past_times_are_for_development_only() {
    let bench = Bench::new();
    bench.write("a.jpg", JPEG);
    bench.ok("publish --customer acme --size 9x9 --as-of 2026-10-31T23:59:59.999Z --inline a.jpg");
    let found = bench.requests();
    let time: BrokerTime = "2026-10-31T23:59:59.999Z".parse().unwrap();
    assert_eq!((found[0].accepted_at, found[0].received.request.request_id.minted_at()), (time, time));

    let ingest = Command::new(env!("CARGO_BIN_EXE_ingest"))
        .args(["publish", "--customer", "acme", "--size", "9x9", "--as-of", "2026-10-31T23:59:59Z", "a.jpg"])
        .output()
        .unwrap();
    assert_eq!(ingest.status.code(), Some(2));
    assert!(text(&ingest.stderr).contains("--as-of: needs --producer-times"), "{}", text(&ingest.stderr));
}

#[test]
fn a_mistake_is_one_line_that_names_it_and_leaves_no_journal() {
    let bench = Bench::new();
    bench.write("a.jpg", JPEG);
    bench.write("notes.txt", b"notes\n");
    for (flags, complaint) in [
        ("--size 9x9 *.gif", "error: \"*.gif\": no such file"),
        ("--size 9by9 a.jpg", "invalid value '9by9' for '--size <WxH>'"),
        ("--size 9x9 --quality 0 a.jpg", "--quality"),
        ("--size 9x9 --resend a.jpg", "--journal"),
        ("--size 9x9 --store http://host a.jpg", "--store: "),
        ("--size 9x9 --journal notes.txt a.jpg", "--journal notes.txt: not a journal"),
        ("--size 9x9 --wait --out a.jpg a.jpg", "--out a.jpg"),
    ] {
        let error = bench.fails(2, &format!("publish --customer acme {flags}"));
        assert!(error.contains(complaint), "{flags} gave {error}");
    }
    let away = bench.fails(1, "publish --customer acme --size 9x9 --topic-prefix none- a.jpg");
    assert!(away.contains("none-resize.requests; was it made by `ingest topics create`?"), "{away}");
    assert!(bench.requests().is_empty());
    assert!(!names(bench.folder.path()).iter().any(|name| name.contains("pixtoll-publish")));
}
