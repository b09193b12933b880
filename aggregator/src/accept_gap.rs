//! An operator's word that a partition goes on although offsets are missing.
//!
//! It opens the partition's next epoch with a segment without records, chained to the old head: one create-only put, so of
//! two decisions at once one stands, and the same one given twice is given once. An aggregator that is stopped at the
//! hole finds the new epoch within seconds. Every bill that looks so far sees it in the footer.

use std::time::Instant;

use anyhow::{Context as _, bail};
use contract::BrokerTime;
use contract::footer::Gap;
use contract::layout::Topic;
use log::{KafkaArgs, Lookup, Partition};
use segments::{Segment, build_gap, read_head};
use service::flags::StoreArgs;
use service::output::line;
use service::{BadUsage, clock};
use store::{Put, Store};

use crate::partition::{State, Stop};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The topic, such as usage.events
    #[arg(long, value_parser = landed_topic)]
    topic: Topic,

    /// The partition's number
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,

    /// Who decides
    #[arg(long)]
    operator: String,

    /// Why going on is right, and what is done about what is missing
    #[arg(long)]
    reason: String,

    /// When it was decided, such as 2026-11-01T08:30:00Z; now when absent
    #[arg(long, value_name = "TIME")]
    at: Option<BrokerTime>,

    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    store: StoreArgs,
}

fn landed_topic(name: &str) -> Result<Topic, String> {
    let landed = Topic::from_name(name).filter(|topic| Topic::LANDED.contains(topic));
    landed.ok_or_else(|| format!("not one of {}", Topic::LANDED.map(Topic::name).join(", ")))
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let settings = args.kafka.settings().map_err(|e| BadUsage(e.to_string()))?;
    let store = Store::open(&args.store.store).map_err(|e| BadUsage(format!("--store: {e}")))?;
    for (flag, text) in [("--operator", &args.operator), ("--reason", &args.reason)] {
        if text.trim().is_empty() {
            return Err(BadUsage(format!("{flag}: say it in a few words; every later bill shows it")).into());
        }
    }
    let at = Partition { topic: args.topic, partition: args.partition };
    let head = read_head(&store, at.topic, at.partition).await?;
    let asked = head.clone();
    let clock = settings.clock;
    let looked = tokio::task::spawn_blocking(move || look(&Lookup::new(&settings)?, at, asked)).await??;
    let Some((stop, count, low)) = looked else {
        let given = head.as_ref().and_then(|head| Some((head, head.footer.gap.as_ref()?)));
        let Some((head, gap)) = given else {
            bail!("{at}: there is no hole: its log goes on where its landed chain ends")
        };
        line(already(at, head, gap));
        return Ok(());
    };
    let from = head.as_ref().map_or(0, |head| head.footer.next_offset);
    let gap = Gap {
        head: head.as_ref().map(|head| head.path.clone()),
        from,
        // Of a log that was made anew or cut off nobody knows how far it went.
        to: matches!(stop, Stop::Gone { .. }).then_some(low.max(from)),
        found: stop.to_string(),
        operator: args.operator,
        reason: args.reason,
        decided_at: args.at.unwrap_or_else(clock::now),
    };
    let built = build_gap(at.topic, at.partition, count, head.as_ref(), low, gap, clock)?;
    match store.create(&built.path, built.bytes).await? {
        Put::Created | Put::AlreadySame => {
            line(format!("{at}: epoch {} goes on at offset {low}; {stop}", built.footer.epoch));
        }
        Put::AlreadyOther => {
            let head = read_head(&store, at.topic, at.partition).await?.context("another's decision is gone")?;
            let gap = head
                .footer
                .gap
                .as_ref()
                .with_context(|| format!("{at}: landed on by another meanwhile; look again"))?;
            line(already(at, &head, gap));
        }
    }
    Ok(())
}

fn already(at: Partition, head: &Segment, gap: &Gap) -> String {
    let (epoch, start) = (head.footer.epoch, head.footer.start);
    format!("{at}: epoch {epoch} goes on at offset {start} already, by {} ({})", gap.operator, gap.reason)
}

/// What is wrong with the log, how many partitions its topic has, and its first offset; none if nothing is wrong.
fn look(lookup: &Lookup, at: Partition, head: Option<Segment>) -> anyhow::Result<Option<(Stop, i32, i64)>> {
    let count = lookup.partition_count(at.topic)?;
    if at.partition >= count {
        return Err(BadUsage(format!("--partition: {} has {count}", at.topic.name())).into());
    }
    let (low, high) = lookup.watermarks(at)?;
    let mut state = State::new(at, head, Instant::now()).context("a topic that is not landed")?;
    let mut stop = state.probe(low, high).err();
    if let (None, Some(anchor)) = (&stop, state.anchor()) {
        let found = lookup.look_up(&[(at, anchor.0)])?;
        let found = found.get(&at).with_context(|| format!("{at}: its log does not answer; try again"))?;
        stop = state.confirm(*found).err();
    }
    Ok(stop.map(|stop| (stop, count, low)))
}
