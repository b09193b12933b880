//! Attack 13 of the design, and its kin: an image that crashes its decoder takes at most one worker with it, once, and
//! keeps nobody else waiting.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::UsageEvent;
use contract::footer::Clock;
use contract::layout::{self, Topic};
use contract::resize::Resize;
use contract::usage::{Outcome, Reason};
use engine::{Engine, Limits};
use log::{Consumer, Owner, Partition, Reset, Start};
use rustix::process::{Pid, Signal, kill_process};
use system_tests::harness::{
    Counts, Expected, Landed, Launch, Photo, Planned, Process, Publisher, System, Topics, wait_for,
};

use crate::mixture::{resize, tiny, tiny_requests};
use crate::{PATIENCE, customer, now};

/// An owner's records past its commit are no more: with so many more before it, a record is met outside careful mode.
const MAX_PAST_COMMIT: usize = 128;
/// All workers know of a customer that crashes decoders.
const TOLD_WITHIN: Duration = Duration::from_secs(12);
const POISON: &str = "PIXTOLL_TEST_POISON";

/// A good image that nobody else sends: only the environment makes it poison.
fn image(name: &str) -> Result<Photo> {
    Photo::new(name, [tiny()?.bytes.as_ref(), name.as_bytes()].concat())
}

async fn poison(publisher: &mut Publisher, who: &str, photo: &Photo, count: usize) -> Result<Vec<Planned>> {
    let customer = customer(who)?;
    publisher.upload(&customer, photo).await?;
    let request = |_| Planned::request(&publisher.request(&customer, photo, &resize(8, 8), now()), photo);
    let requests: Result<Vec<Planned>> = (0..count).map(request).collect();
    Ok(requests?.into_iter().map(|planned| planned.rejected(Reason::DecoderCrashed)).collect())
}

/// A worker to which these images are poison.
fn worker(system: &System, poisons: &[(&str, &Photo)]) -> Result<Launch> {
    let variable: Vec<String> = poisons.iter().map(|(what, photo)| format!("{what}={}", photo.sha256)).collect();
    Ok(system.worker()?.env(POISON, &variable.join(",")))
}

/// Starts a worker again when it ends, as Kubernetes would.
struct Kept<'a> {
    launch: Box<dyn Fn() -> Result<Launch> + 'a>,
    process: Process,
    restarts: usize,
}

impl<'a> Kept<'a> {
    async fn start(launch: impl Fn() -> Result<Launch> + 'a) -> Result<Self> {
        let process = launch()?.spawn_ready().await?;
        Ok(Self { launch: Box::new(launch), process, restarts: 0 })
    }

    fn look(&mut self) -> Result<()> {
        if !self.process.is_alive()? {
            self.process = (self.launch)()?.spawn()?;
            self.restarts += 1;
        }
        Ok(())
    }
}

async fn answered_by(workers: &mut [Kept<'_>], system: &System, publisher: &Publisher) -> Result<Landed> {
    let landed = wait_for("all requests to be answered", PATIENCE * 2, async || {
        workers.iter_mut().try_for_each(Kept::look)?;
        let landed = system.landed().await?;
        Ok(publisher.ledger.open(&landed).is_empty().then_some(landed))
    });
    landed.await.with_context(|| workers.iter().map(|kept| kept.process.log_tail()).collect::<String>())
}

/// Three workers, and `count` poison requests among good ones, past where careful mode covers them.
async fn among_three(test: &str, what: &str, count: usize) -> Result<(Counts, Vec<usize>)> {
    let system = System::in_files(Topics::kafka(3, Clock::Broker).await?, test)?;
    let mut publisher = system.publisher()?;
    let bad = image("poison")?;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(Kept::start(|| worker(&system, &[(what, &bad)])).await?);
    }
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    let work = tiny_requests(&mut publisher, MAX_PAST_COMMIT * 5).await?;
    publisher.publish(work).await?;
    answered_by(&mut workers, &system, &publisher).await?;
    assert!(workers.iter().all(|kept| kept.restarts == 0), "nothing is wrong yet");

    let mut work = tiny_requests(&mut publisher, 240).await?;
    let sha256 = bad.sha256.to_string();
    let bad = poison(&mut publisher, "mallory", &bad, count).await?;
    let step = work.len() / count;
    for (n, planned) in bad.into_iter().enumerate() {
        work.insert(n * (step + 1) + step / 2, planned);
    }
    publisher.publish(work).await?;
    let landed = answered_by(&mut workers, &system, &publisher).await?;
    let counts = publisher.ledger.check(&landed)?;
    for (_, detail) in details(&system, count)? {
        ensure!(detail.contains(&sha256), "{detail}");
    }
    Ok((counts, workers.iter().map(|kept| kept.restarts).collect()))
}

/// Reads all, from the start.
struct Reader;

impl Owner for Reader {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

/// What the first `count` rejections say, with their customers.
fn details(system: &System, count: usize) -> Result<Vec<(String, String)>> {
    let consumer = Consumer::read_all(&system.topics.settings()?, &[Topic::Usage], Reset::Earliest, Arc::new(Reader))?;
    let (mut details, until) = (Vec::new(), Instant::now() + PATIENCE);
    while details.len() < count {
        ensure!(Instant::now() < until, "{} of {count} rejections", details.len());
        let Some(polled) = consumer.poll(Duration::from_secs(1)) else { continue };
        let record = polled?;
        let Ok(event) = UsageEvent::from_record(&record.record()) else { continue }; // a tick
        if let Outcome::Rejected { detail, .. } = event.outcome {
            details.push((event.customer_id.to_string(), detail));
        }
    }
    Ok(details)
}

#[tokio::test]
async fn one_poison_among_three_workers() -> Result<()> {
    let (counts, restarts) = among_three("careful-one", "abort", 1).await?;
    assert_eq!((counts.done, counts.rejected), (MAX_PAST_COMMIT * 5 + 240, 1));
    assert_eq!(restarts.iter().sum::<usize>(), 1, "the one that met it first, and no other: {restarts:?}");
    Ok(())
}

/// One customer sends it again and again, under new ids, to all partitions.
#[tokio::test]
async fn the_same_poison_twenty_times() -> Result<()> {
    let (counts, restarts) = among_three("careful-twenty", "segv", 20).await?;
    assert_eq!((counts.done, counts.rejected), (MAX_PAST_COMMIT * 5 + 240, 20));
    assert!(restarts.iter().all(|restarts| *restarts <= 1), "{restarts:?}");
    assert!(restarts.iter().sum::<usize>() >= 1, "it was met in careful mode only: {restarts:?}");
    Ok(())
}

/// Now and then, so that each is met outside careful mode: by then the workers have told each other.
#[tokio::test]
async fn a_customer_that_drips_poison() -> Result<()> {
    let system = System::in_files(Topics::kafka(3, Clock::Broker).await?, "careful-drip")?;
    let mut publisher = system.publisher()?;
    let bad = image("poison")?;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(Kept::start(|| worker(&system, &[("abort", &bad)])).await?);
    }
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    for drop in 0..8 {
        let work = tiny_requests(&mut publisher, MAX_PAST_COMMIT * 5).await?;
        publisher.publish(work).await?;
        answered_by(&mut workers, &system, &publisher).await?;
        let bad = poison(&mut publisher, "mallory", &bad, 1).await?;
        publisher.publish(bad).await?;
        answered_by(&mut workers, &system, &publisher).await?;
        if drop == 0 {
            tokio::time::sleep(TOLD_WITHIN).await;
        }
    }
    let landed = system.landed().await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (8 * MAX_PAST_COMMIT * 5, 8));
    let restarts: Vec<usize> = workers.iter().map(|kept| kept.restarts).collect();
    assert_eq!(restarts.iter().sum::<usize>(), 1, "{restarts:?}");
    Ok(())
}

/// 13: clean hand-over, then a poison record before the first commit.
#[tokio::test]
async fn poison_right_after_a_clean_hand_over() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "attack-13")?;
    let mut publisher = system.publisher()?;
    let bad = image("poison")?;
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    let first = worker(&system, &[("abort", &bad)])?.spawn_ready().await?;
    let work = tiny_requests(&mut publisher, MAX_PAST_COMMIT * 2).await?;
    publisher.publish(work).await?;
    system.answered(&publisher.ledger, PATIENCE).await.with_context(|| first.log_tail())?;
    first.stop(Duration::from_secs(30)).await?;

    let mut work = poison(&mut publisher, "mallory", &bad, 1).await?;
    work.extend(tiny_requests(&mut publisher, 20).await?);
    publisher.publish(work).await?;
    let mut second = worker(&system, &[("abort", &bad)])?.spawn_ready().await?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| second.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (MAX_PAST_COMMIT * 2 + 20, 1));
    assert!(second.is_alive()?, "{}", second.log_tail());
    Ok(())
}

/// Each in its own way; the worker goes on, and grows no larger than a job of its own would make it.
#[tokio::test]
async fn hogs_and_other_deaths_in_a_child_are_rejections() -> Result<()> {
    const MEMORY_BYTES: u64 = 256 << 20;
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "careful-hogs")?;
    let mut publisher = system.publisher()?;
    let kinds = [
        ("abort", "it aborted"),
        ("segv", "SIGSEGV"),
        ("exit", "exit status: 1"),
        ("spin", "more than 1 s of CPU time"),
        ("hang", "it did nothing for 14s"),
        ("eat", "bytes of memory"),
    ];
    let mut photos = Vec::new();
    for (kind, says) in kinds {
        photos.push((kind, says, image(kind)?));
    }
    let poisons: Vec<_> = photos.iter().map(|(kind, _, photo)| (*kind, photo)).collect();
    let memory = (MEMORY_BYTES).to_string();
    let flags =
        ["--careful", "always", "--careful-cpu-seconds", "1", "--max-job-memory-bytes", &memory, "--threads", "2"];
    let mut running = worker(&system, &poisons)?.args(flags).spawn_ready().await?;
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    for (kind, _, photo) in &photos {
        let mut work = tiny_requests(&mut publisher, 5).await?;
        work.extend(poison(&mut publisher, kind, photo, 1).await?);
        publisher.publish(work).await?;
    }
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| running.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (photos.len() * 5, photos.len()));
    let details = details(&system, photos.len())?;
    for (kind, says, photo) in &photos {
        let (_, detail) = details.iter().find(|(customer, _)| customer == kind).context("no answer")?;
        assert!(detail.contains(says) && detail.contains(&photo.sha256.to_string()), "{kind}: {detail}");
    }
    assert!(running.is_alive()?);
    let peak = status(running.id(), "VmHWM")?;
    assert!(peak < MEMORY_BYTES, "the worker grew to {peak} bytes");
    Ok(())
}

/// Killed from outside while it is at work: no fault of the image.
#[tokio::test]
async fn a_child_killed_from_outside_is_tried_again() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "careful-killed")?;
    let mut publisher = system.publisher()?;
    let slow = image("slow")?;
    let worker = worker(&system, &[("slow", &slow)])?.args(["--careful", "always"]).spawn_ready().await?;
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    publisher.upload(&customer("acme")?, &slow).await?;
    let request = publisher.request(&customer("acme")?, &slow, &resize(8, 8), now());
    publisher.publish([Planned::request(&request, &slow)?]).await?;
    for _ in 0..2 {
        let child = wait_for("a child that sleeps", PATIENCE, async || Ok(sleeping_child(worker.id()))).await?;
        kill_process(child, Signal::KILL)?;
    }
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (1, 0));
    let said = worker.log().matches("a child process gave no answer").count();
    assert_eq!(said, 2, "{}", worker.log_tail());
    Ok(())
}

/// What comes out of a child is what comes out of the engine, byte for byte.
#[tokio::test]
async fn a_childs_output_is_the_engines() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "careful-same")?;
    let mut publisher = system.publisher()?;
    let worker = system.worker()?.args(["--careful", "always"]).spawn_ready().await?;
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    let acme = customer("acme")?;
    let mut asked = Vec::new();
    for photo in Photo::all()? {
        publisher.upload(&acme, &photo).await?;
        for resize in [resize(320, 240), Resize { quality: Some(55), ..resize(64, 64) }] {
            asked.push((publisher.request(&acme, &photo, &resize, now()), photo.clone()));
        }
    }
    let planned: Result<Vec<_>> = asked.iter().map(|(request, photo)| Planned::request(request, photo)).collect();
    publisher.publish(planned?).await?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    assert_eq!(publisher.ledger.check(&landed)?.done, asked.len());
    let mut engine = Engine::default();
    for (planned, (request, photo)) in publisher.ledger.requests.iter().zip(&asked) {
        let conversion = planned.conversion.as_ref().context("no conversion")?;
        let stored = system.store.get(&layout::result(conversion)).await?.context("no result")?;
        let expected = engine.resize(&photo.bytes, &request.resize, &Limits::default())?;
        assert!(stored == expected.bytes, "{} {:?}", photo.name, request.resize);
    }
    Ok(())
}

/// What kills it was left behind by another image: a fresh child shows that this one is good.
#[tokio::test]
async fn a_child_that_dies_of_an_earlier_image_blames_nobody() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "careful-later")?;
    let mut publisher = system.publisher()?;
    let later = image("later")?;
    let flags = ["--careful", "always", "--threads", "1"];
    let worker = worker(&system, &[("later", &later)])?.args(flags).spawn_ready().await?;
    let _aggregator = system.aggregator()?.spawn_ready().await?;
    for _ in 0..3 {
        let work = poison(&mut publisher, "mallory", &later, 1).await?;
        let output = later.resized(&resize(8, 8));
        publisher
            .publish(work.into_iter().map(|planned| Planned { expected: Expected::Done { output }, ..planned }))
            .await?;
        let work = tiny_requests(&mut publisher, 3).await?;
        publisher.publish(work).await?;
    }
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (12, 0));
    Ok(())
}

#[tokio::test]
async fn a_child_at_work_dies_with_its_worker() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "careful-orphan")?;
    let mut publisher = system.publisher()?;
    let hang = image("hang")?;
    let worker = worker(&system, &[("hang", &hang)])?.args(["--careful", "always"]).spawn_ready().await?;
    let work = poison(&mut publisher, "mallory", &hang, 1).await?;
    publisher.publish(work).await?;
    let child = wait_for("a child that sleeps", PATIENCE, async || Ok(sleeping_child(worker.id()))).await?;
    worker.kill()?;
    let gone = async || Ok(stat(child).is_none_or(|stat| stat[0] == "Z").then_some(()));
    wait_for("the child's end", Duration::from_secs(5), gone).await
}

fn children(parent: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    ids.filter(|id| stat(*id).is_some_and(|stat| stat.get(1) == Some(&parent.to_string()))).collect()
}

/// A child in the middle of its work, which is to sleep a second; one that waits for work reads from its socket.
fn sleeping_child(parent: u32) -> Option<Pid> {
    let at = |child: &Pid| fs::read_to_string(format!("/proc/{child}/wchan")).unwrap_or_default();
    children(parent).into_iter().find(|child| at(child).contains("nanosleep"))
}

/// Source: proc_pid_stat(5): from the state on.
fn stat(process: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// In bytes.
fn status(process: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).context("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
