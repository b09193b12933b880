//! Landing by itself: usage events of a generator in, chains out, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use contract::{RequestId, UsageEvent};
use futures::{StreamExt as _, TryStreamExt as _};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use system_tests::bench::landing::events::Events;
use system_tests::harness::{Landed, Launch, Outage, Process, System, Topics, bin, wait_for};

use crate::{PATIENCE, now};

/// Sends the generator's events, and knows which are on the log.
struct Source {
    producer: log::Producer,
    events: Events,
    sent: BTreeSet<RequestId>,
}

impl Source {
    fn new(system: &System) -> Result<Self> {
        let producer = log::Producer::new(&system.topics.settings()?)?;
        Ok(Self { producer, events: Events::new(7, now()), sent: BTreeSet::new() })
    }

    async fn send(&mut self, count: usize) -> Result<()> {
        let events: Vec<UsageEvent> = self.events.by_ref().take(count).collect::<Result<_>>()?;
        let producer = &self.producer;
        let send = |event: UsageEvent| async move {
            producer.send(Topic::Usage, &event.to_record()?).await?;
            anyhow::Ok(event.request_id)
        };
        let sent = futures::stream::iter(events).map(send).buffer_unordered(10_000);
        let sent: Vec<RequestId> = sent.try_collect().await?;
        self.sent.extend(sent);
        Ok(())
    }

    /// Waits until all is landed: each once, in whole chains.
    async fn landed(&self, system: &System, processes: &[&Process]) -> Result<Landed> {
        let ask = async || {
            let landed = system.landed().await?;
            anyhow::Ok((landed.usage.len() >= self.sent.len()).then_some(landed))
        };
        let logs = || processes.iter().map(|process| process.log_tail()).collect::<String>();
        let landed = wait_for("all events to be landed", PATIENCE, ask).await.with_context(logs)?;
        let ids: BTreeSet<RequestId> = landed.answers().map(|(_, row)| row.conversion.request_id).collect();
        ensure!(landed.usage.len() == self.sent.len(), "{} landed of {}", landed.usage.len(), self.sent.len());
        ensure!(ids == self.sent, "others are landed than were sent");
        Ok(landed)
    }
}

/// Two members change places while one is asleep with records in hand: it wakes and forks nothing.
#[tokio::test]
async fn a_zombie_with_records_in_hand_forks_no_chain() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "landing-zombie")?;
    let mut source = Source::new(&system)?;
    let mut zombie = system.aggregator_lingering("2s")?.spawn_ready().await?;
    source.send(500).await?;
    let holds = async || Ok((zombie.metrics().await?.sum("pixtoll_pending_bytes", &[]) > 0.0).then_some(()));
    wait_for("records in hand", PATIENCE, holds).await?;
    zombie.signal(Signal::STOP)?;
    let mut heir = system.aggregator()?.spawn()?;
    source.landed(&system, &[&heir, &zombie]).await?;
    source.send(500).await?;
    zombie.signal(Signal::CONT)?;
    source.landed(&system, &[&heir, &zombie]).await?;
    // What it held it has tried to land, or dropped; both are members again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    source.send(500).await?;
    source.landed(&system, &[&heir, &zombie]).await?;
    ensure!(zombie.is_alive()? && heir.is_alive()?, "{}{}", zombie.log_tail(), heir.log_tail());
    Ok(())
}

/// Members come and go each second, some by SIGKILL. `PIXTOLL_TEST_STORM_SECONDS=60` makes it a minute.
#[tokio::test]
async fn a_rebalance_each_second_loses_nothing() -> Result<()> {
    let seconds = std::env::var("PIXTOLL_TEST_STORM_SECONDS").ok().map_or(Ok(12), |text| text.parse())?;
    let system = System::in_files(Topics::kafka(4, Clock::Broker).await?, "landing-storm")?;
    let mut source = Source::new(&system)?;
    let mut steady = system.aggregator()?.spawn_ready().await?;
    let mut guests: Vec<Process> = Vec::new();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut turn = 0;
    while Instant::now() < until {
        source.send(300).await?;
        turn += 1;
        match turn % 3 {
            0 => guests.remove(0).kill()?,
            1 if guests.len() > 1 => guests.remove(0).stop(PATIENCE).await?,
            _ => guests.push(system.aggregator()?.spawn()?),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(guests);
    source.landed(&system, &[&steady]).await?;
    ensure!(steady.is_alive()?, "{}", steady.log_tail());
    let rebalances = steady.log().matches("assigned partitions=").count();
    ensure!(rebalances > 3, "{rebalances} rebalances: {}", steady.log_tail());
    Ok(())
}

async fn waits(aggregator: &mut Process) -> Result<()> {
    wait_for("the aggregator to say that everything waits", PATIENCE, async || {
        let Some((status, problems)) = aggregator.readyz().await? else { return Ok(None) };
        Ok((status == 503 && problems.contains("everything waits")).then_some(()))
    })
    .await?;
    ensure!(aggregator.metrics().await?.sum("pixtoll_landing_paused", &[]) > 0.5, "not counted as paused");
    Ok(())
}

/// One that lands, and one that comes while the store is away and can't even learn where its partitions' chains end.
#[tokio::test]
async fn an_outage_of_the_store_pauses_the_landing() -> Result<()> {
    let system = System::in_s3(Topics::kafka(2, Clock::Broker).await?, "landing-outage")?;
    let mut source = Source::new(&system)?;
    let endpoint = std::env::var("AWS_ENDPOINT").context("AWS_ENDPOINT is not set: run it through `make test`")?;
    let server: SocketAddr = endpoint.trim_start_matches("http://").parse()?;
    let mut outage = Outage::before(server)?;
    let through = format!("http://{}", outage.address());
    let mut aggregator = system.aggregator()?.env("AWS_ENDPOINT", &through).spawn_ready().await?;
    source.send(300).await?;
    source.landed(&system, &[&aggregator]).await?;

    outage.begin().await;
    source.send(300).await?;
    waits(&mut aggregator).await?;
    let mut other = system.aggregator()?.env("AWS_ENDPOINT", &through).spawn()?;
    wait_for("the other to say that heads can't be read", PATIENCE, async || {
        let Some((_, problems)) = other.readyz().await? else { return Ok(None) };
        Ok(problems.contains("head can't be read yet").then_some(()))
    })
    .await?;
    source.send(300).await?;
    outage.end()?;
    source.landed(&system, &[&aggregator, &other]).await?;
    for process in [&mut aggregator, &mut other] {
        process.ready(PATIENCE).await?;
    }
    Ok(())
}

/// A file system that takes no more: each write fails as on a full disk.
#[tokio::test]
async fn a_disk_that_takes_no_more_pauses_the_landing() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "landing-full")?;
    let mut source = Source::new(&system)?;
    // Without the signal, a write past the limit is an error like any other; what is ignored stays so over an exec.
    let script = ["-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned);
    let aggregator = bin("aggregator")?.to_string_lossy().into_owned();
    let flags = ["--store", system.store.url(), "--linger", "300ms", "--tick-after", "1m", "--health", "127.0.0.1:0"];
    let launch = Launch::new("aggregator", "/bin/sh".into(), system.folder().join("00-aggregator.log"));
    let launch = launch.args(script).args([aggregator]).args(flags).args(system.topics.flags());
    let mut aggregator = launch.spawn_ready().await?;
    source.send(300).await?;
    source.landed(&system, &[&aggregator]).await?;

    let limit = |bytes: Option<u64>| {
        let id = Pid::from_raw(aggregator.id().cast_signed());
        prlimit(id, Resource::Fsize, Rlimit { current: bytes, maximum: None })
    };
    limit(Some(1))?;
    source.send(300).await?;
    let before = system.landed().await?.usage.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(system.landed().await?.usage.len() == before, "landed on a full disk");
    waits(&mut aggregator).await?;
    let id = Pid::from_raw(aggregator.id().cast_signed());
    prlimit(id, Resource::Fsize, Rlimit { current: None, maximum: None })?;
    source.landed(&system, &[&aggregator]).await?;
    aggregator.ready(PATIENCE).await
}

/// What happened to the log while nobody looked.
#[derive(Debug, Clone, Copy)]
enum Hole {
    MadeAnew,
    /// Made anew, and not yet grown to where the old one was.
    CutOff,
    Expired,
}

fn accept(system: &System, partition: &str) -> Result<Launch> {
    let flags = ["accept-gap", "--store", system.store.url(), "--topic", "usage.events", "--partition", partition];
    let word = ["--operator", "kim", "--reason", "broker lost its disk", "--at", "2026-11-01T08:00:00Z"];
    Ok(system.tool("aggregator")?.args(flags).args(word).args(system.topics.flags()))
}

async fn goes_on_behind(hole: Hole) -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, &format!("landing-gap-{hole:?}"))?;
    let mut source = Source::new(&system)?;
    // No tick comes between what is counted.
    let flags = ["--linger", "300ms", "--health", "127.0.0.1:0"];
    let aggregator = system.on_the_log("aggregator")?.args(flags).spawn_ready().await?;
    source.send(20).await?;
    source.landed(&system, &[&aggregator]).await?;
    let refused = accept(&system, "0")?.finish().await?;
    ensure!(!refused.status.success() && refused.stderr.contains("there is no hole"), "{refused:?}");
    aggregator.stop(PATIENCE).await?;
    let head =
        system.landed().await?.chain(Topic::Usage, 0).and_then(|chain| chain.head().cloned()).context("no head")?;
    let end = head.footer.next_offset;

    let lost = match hole {
        Hole::MadeAnew | Hole::CutOff => {
            system.topics.delete(Topic::Usage).await?;
            system.topics.create_missing().await?;
            // Another producer: this one's idempotence is bound to the old topic.
            let sent = source.sent.clone();
            source = Source { sent, events: source.events, ..Source::new(&system)? };
            source.send(if matches!(hole, Hole::CutOff) { 5 } else { 40 }).await?;
            0
        }
        Hole::Expired => {
            let before = source.sent.clone();
            source.send(10).await?;
            system.topics.expire(Topic::Usage, 0, end + 4).await?;
            // The broker knows which four: those that were appended first.
            source.sent = before;
            4
        }
    };
    let mut aggregator = system.aggregator()?.spawn()?;
    wait_for("the hole to be reported", PATIENCE, async || {
        let Some((_, problems)) = aggregator.readyz().await? else { return Ok(None) };
        Ok(problems.contains("hole: ").then_some(()))
    })
    .await?;
    let counted = async || Ok((aggregator.metrics().await?.sum("pixtoll_holes", &[]) > 0.5).then_some(()));
    wait_for("the hole to be counted", PATIENCE, counted).await?;

    let (one, other) = (accept(&system, "0")?, accept(&system, "0")?);
    let (one, other) = tokio::join!(one.finish(), other.finish());
    let said = one?.ok()? + &other?.ok()?;
    ensure!(said.matches("epoch 1 goes on at offset").count() == 2, "{said}");
    aggregator.ready(PATIENCE).await?;

    let wanted = if lost == 0 { source.sent.len() } else { source.sent.len() + 10 - lost };
    let all = async || {
        let landed = system.landed().await?;
        anyhow::Ok((landed.usage.len() >= wanted).then_some(landed))
    };
    let landed = wait_for("the records behind the hole", PATIENCE, all).await.with_context(|| aggregator.log_tail())?;
    ensure!(landed.usage.len() == wanted, "{} landed, not {wanted}", landed.usage.len());
    let opened =
        landed.chains.iter().find(|chain| chain.topic == Topic::Usage && chain.epoch == 1).context("no epoch 1")?;
    let footer = &opened.segments[0].footer;
    let gap = footer.gap.as_ref().context("it opens with no gap")?;
    let expected_to = matches!(hole, Hole::Expired).then_some(end + 4);
    assert_eq!((gap.from, gap.to, gap.operator.as_str()), (end, expected_to, "kim"));
    assert_eq!((gap.head.as_ref(), footer.previous_sha256), (Some(&head.path), Some(head.sha256)));
    let again = accept(&system, "0")?.finish().await?;
    ensure!(!again.status.success() && again.stderr.contains("there is no hole"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn an_accepted_gap_after_a_topic_was_made_anew() -> Result<()> {
    goes_on_behind(Hole::MadeAnew).await
}

#[tokio::test]
async fn an_accepted_gap_after_a_log_was_cut_off() -> Result<()> {
    goes_on_behind(Hole::CutOff).await
}

#[tokio::test]
async fn an_accepted_gap_after_records_expired() -> Result<()> {
    goes_on_behind(Hole::Expired).await
}

/// Many partitions, none of which lingers or is full: memory alone makes segments.
#[tokio::test]
async fn memory_is_bounded_whatever_the_number_of_partitions() -> Result<()> {
    const EVENTS: usize = 300_000;
    const MEMORY: u32 = 256 << 20;
    let system = System::in_files(Topics::kafka(48, Clock::Broker).await?, "landing-memory")?;
    let mut source = Source::new(&system)?;
    source.send(EVENTS).await?;
    let flags = ["--memory".to_owned(), MEMORY.to_string(), "--segment-records".to_owned(), "10000000".to_owned()];
    let mut aggregator = system.aggregator_lingering("10m")?.args(flags).spawn_ready().await?;
    let read = async || {
        let metrics = aggregator.metrics().await?;
        let landed = metrics.sum("pixtoll_landed_rows_total", &["usage.events"]);
        Ok((landed > 20_000.0).then_some(metrics))
    };
    let metrics = wait_for("segments written for want of memory", PATIENCE, read).await?;
    let pending = metrics.sum("pixtoll_pending_bytes", &[]);
    ensure!(pending < f64::from(MEMORY) / 2.0, "{pending} bytes pending");
    let status = fs::read_to_string(format!("/proc/{}/status", aggregator.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u32 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(peak << 10 <= MEMORY, "{peak} kB were resident");
    aggregator.stop(PATIENCE).await?;
    let rest = system.aggregator()?.spawn()?;
    source.landed(&system, &[&rest]).await.map(drop)
}
