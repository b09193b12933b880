//! `ingest topics`: the five topics as the contract wants them, made once and checked as often as one likes.

mod cluster;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use comfy_table::{Table, presets};
use contract::footer::Clock;
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use log::{KafkaArgs, Settings};
use serde::Serialize;
use service::{BadUsage, output};

use self::cluster::Cluster;
use self::spec::{Difference, Found, Sizing, Wanted};

/// A topic just made may be unknown to some broker for a moment.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create the topics that are missing; those that are there must be as the flags say
    #[command(after_help = "\
Examples:
  ingest topics create --brokers kafka-1:9092,kafka-2:9092,kafka-3:9092 --partitions 24
  ingest topics create --replication 1 --min-isr 1        # a single broker
  ingest topics create --replication 1 --min-isr 1 --producer-times --request-retention forever \\
    --usage-retention forever --dead-letter-retention forever        # development: past months")]
    Create(Args),
    /// Check that all topics are there and as the flags say; exit code 1 if not
    #[command(after_help = "\
Examples:
  ingest topics check --brokers kafka-1:9092 --partitions 24
  ingest topics check --replication 1 --min-isr 1 --json")]
    Check(Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Partitions of each topic: the most workers that share one
    #[arg(long, env = "PIXTOLL_PARTITIONS", value_name = "N", default_value = "6", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,

    /// Copies of each partition
    #[arg(long, env = "PIXTOLL_REPLICATION", value_name = "N", default_value = "3", value_parser = clap::value_parser!(i32).range(1..=32))]
    replication: i32,

    /// Copies that must be in sync for a record to be acknowledged
    #[arg(long, env = "PIXTOLL_MIN_ISR", value_name = "N", default_value = "2", value_parser = clap::value_parser!(i32).range(1..=32))]
    min_isr: i32,

    /// The largest record in bytes, at least 1 MiB: producers send batches of that size. Dead letters get 64 KiB more
    #[arg(long, env = "PIXTOLL_MAX_RECORD_BYTES", value_name = "BYTES", default_value = "1048576", value_parser = clap::value_parser!(u32).range(1 << 20..=32 << 20))]
    max_record_bytes: u32,

    /// How long requests are kept: a time such as 7d, at least 24h, or "forever"
    #[arg(long, env = "PIXTOLL_REQUEST_RETENTION", value_name = "TIME", default_value = "7d", value_parser = retention)]
    request_retention: i64,

    /// How long usage events are kept
    #[arg(long, env = "PIXTOLL_USAGE_RETENTION", value_name = "TIME", default_value = "30d", value_parser = retention)]
    usage_retention: i64,

    /// How long dead letters are kept
    #[arg(long, env = "PIXTOLL_DEAD_LETTER_RETENTION", value_name = "TIME", default_value = "30d", value_parser = retention)]
    dead_letter_retention: i64,

    /// How long every version of an account is kept before compaction may drop all but the newest
    #[arg(long, env = "PIXTOLL_ACCOUNT_COMPACTION_LAG", value_name = "TIME", default_value = "7d", value_parser = lag)]
    account_compaction_lag: i64,

    /// Answer in JSON, one line per topic
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    kafka: KafkaArgs,
}

/// Milliseconds; -1 is for ever, as Kafka has it.
fn retention(text: &str) -> Result<i64, String> {
    if text == "forever" { Ok(-1) } else { lag(text).map_err(|why| format!("{why}, or \"forever\"")) }
}

fn lag(text: &str) -> Result<i64, String> {
    let parsed = humantime::parse_duration(text).map_err(|why| format!("{why}; give a time such as 7d"))?;
    match i64::try_from(parsed.as_millis()) {
        Ok(millis) if millis > 0 => Ok(millis),
        _ => Err("give a time such as 7d".to_owned()),
    }
}

#[derive(Debug)]
pub(crate) struct Config {
    kafka: Settings,
    wanted: Vec<Wanted>,
    create: bool,
    json: bool,
}

impl Command {
    pub(crate) fn config(self) -> anyhow::Result<Config> {
        let (args, create) = match self {
            Self::Create(args) => (args, true),
            Self::Check(args) => (args, false),
        };
        if args.min_isr > args.replication {
            let (min_isr, replication) = (args.min_isr, args.replication);
            let why = format!("--min-isr {min_isr}: more than --replication {replication}, so nothing could be sent");
            return Err(BadUsage(why).into());
        }
        if (0..DEFAULT_MAX_REQUEST_AGE_MS).contains(&args.request_retention) {
            let why = "--request-retention: at least 24h, since requests are taken up to that age";
            return Err(BadUsage(why.to_owned()).into());
        }
        let kafka = args.kafka.settings().map_err(|e| BadUsage(e.to_string()))?;
        let sizing = Sizing {
            partitions: args.partitions,
            replication: args.replication,
            min_isr: args.min_isr,
            max_record_bytes: args.max_record_bytes,
            request_retention_ms: args.request_retention,
            usage_retention_ms: args.usage_retention,
            dead_letter_retention_ms: args.dead_letter_retention,
            account_compaction_lag_ms: args.account_compaction_lag,
        };
        let wanted = spec::wanted(&sizing, &kafka);
        Ok(Config { kafka, wanted, create, json: args.json })
    }
}

/// What a topic turned out to be.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Created,
    There,
    Differs,
    Missing,
}

/// One line of the answer: what was wanted, and where the broker's topic differs from it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    state: State,
    #[serde(flatten)]
    wanted: &'a Wanted,
    differences: Vec<Difference>,
}

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&config.kafka)?;
    let mut found = cluster.find(&config.wanted).await?;
    let mut created = BTreeSet::new();
    if config.create {
        if config.kafka.clock == Clock::Producers && config.wanted.iter().any(Wanted::expires) {
            tracing::warn!("a record with a time of the past may be past its retention at once; \"forever\" keeps it");
        }
        for look in 0.. {
            let missing: Vec<&Wanted> = config.wanted.iter().filter(|w| !found.contains_key(&w.name)).collect();
            // Nothing is made beside topics that would not do.
            if missing.is_empty() || rows(&config.wanted, &found, &created).iter().any(|r| r.state == State::Differs) {
                break;
            }
            ensure!(look < LOOKS, "{} was created, yet the broker does not show it", missing[0].name);
            created.extend(cluster.create(&missing).await?);
            tokio::time::sleep(BETWEEN_LOOKS).await;
            found = cluster.find(&config.wanted).await?;
        }
    }
    let rows = rows(&config.wanted, &found, &created);
    print(&rows, config.json)?;
    complain(&rows)
}

fn rows<'a>(wanted: &'a [Wanted], found: &BTreeMap<String, Found>, created: &BTreeSet<String>) -> Vec<Row<'a>> {
    let row = |wanted: &'a Wanted| {
        let differences = found.get(&wanted.name).map_or_else(Vec::new, |found| wanted.differences(found));
        let state = match (found.contains_key(&wanted.name), differences.is_empty()) {
            (false, _) => State::Missing,
            (true, false) => State::Differs,
            (true, true) if created.contains(&wanted.name) => State::Created,
            (true, true) => State::There,
        };
        Row { state, wanted, differences }
    };
    wanted.iter().map(row).collect()
}

fn print(rows: &[Row<'_>], json: bool) -> anyhow::Result<()> {
    if json {
        return rows.iter().try_for_each(output::json).context("cannot write JSON");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["TOPIC", "PARTITIONS", "COPIES", "IN SYNC", "CLEANUP", "KEPT", "TIMES", "LARGEST", "STATE"]);
    for row in rows {
        let setting = |name| row.wanted.settings.get(name).cloned().unwrap_or_default();
        let state = match row.state {
            State::Created => "created".to_owned(),
            State::There => "as wanted".to_owned(),
            State::Missing => "missing".to_owned(),
            State::Differs => row.differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        table.add_row([
            row.wanted.name.clone(),
            row.wanted.partitions.to_string(),
            row.wanted.replication.to_string(),
            setting(spec::MIN_ISR),
            setting(spec::CLEANUP),
            row.wanted.kept(),
            setting(spec::TIMES),
            setting(spec::LARGEST),
            state,
        ]);
    }
    output::line(table.trim_fmt());
    Ok(())
}

fn complain(rows: &[Row<'_>]) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let missing: Vec<&str> =
        rows.iter().filter(|r| r.state == State::Missing).map(|r| r.wanted.name.as_str()).collect();
    if !missing.is_empty() {
        problems.push(format!("missing: {}; `ingest topics create` makes them", missing.join(", ")));
    }
    for row in rows.iter().filter(|row| row.state == State::Differs) {
        let differences: Vec<String> = row.differences.iter().map(ToString::to_string).collect();
        problems.push(format!("{}: {}", row.wanted.name, differences.join(", ")));
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    fn config(flags: &str) -> Result<Config, String> {
        let words = ["topics", "create"].into_iter().chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|e| e.to_string())?;
        cli.command.config().map_err(|e| e.to_string())
    }

    #[test]
    fn flags_that_cannot_be_are_refused_by_name() {
        for (flags, complaint) in [
            ("--min-isr 3 --replication 2", "--min-isr 3: more than --replication 2"),
            ("--request-retention 23h", "at least 24h"),
            ("--request-retention 0s", "--request-retention"),
            ("--usage-retention never", "or \"forever\""),
            ("--account-compaction-lag forever", "such as 7d"),
            ("--partitions 0", "--partitions"),
            ("--max-record-bytes 500000", "--max-record-bytes"),
        ] {
            let error = config(flags).unwrap_err();
            assert!(error.contains(complaint), "{flags} gave {error}");
        }
    }

    #[test]
    fn a_topic_is_missing_differs_or_is_as_wanted() {
        let config = config("--request-retention forever").unwrap();
        let as_wanted =
            |w: &Wanted| Found { partitions: w.partitions, replication: w.replication, settings: w.settings.clone() };
        let mut found: BTreeMap<String, Found> =
            config.wanted[1..].iter().map(|w| (w.name.clone(), as_wanted(w))).collect();
        found.get_mut("usage.events").unwrap().partitions = 7;
        let created = BTreeSet::from(["accounts".to_owned()]);
        let rows = rows(&config.wanted, &found, &created);
        let states: Vec<_> = rows.iter().map(|r| (r.wanted.name.as_str(), &r.state)).collect();
        assert_eq!(
            states,
            [
                ("resize.requests", &State::Missing),
                ("usage.events", &State::Differs),
                ("resize.dead-letters", &State::There),
                ("accounts", &State::Created),
                ("usage.totals", &State::There),
            ]
        );
        let error = complain(&rows).unwrap_err().to_string();
        assert!(error.starts_with("missing: resize.requests; "), "{error}");
        assert!(error.ends_with("usage.events: partitions is 7, not 6"), "{error}");
        complain(&rows[2..]).unwrap();
    }
}
