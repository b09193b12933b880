//! `ingest accounts`: versions of accounts, numbered from 1 without gaps.
//!
//! Nothing locks a number. Of two versions with one number the first in the log counts, so the log is read again after
//! the acknowledgement, and whoever was second is told.

mod draft;
mod history;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use comfy_table::{Table, presets};
use contract::ids::{Label, PlanName};
use contract::layout::Topic;
use contract::resize::Resize;
use contract::{AccountVersion, BrokerTime, CustomerId, KeyId, Region};
use log::{KafkaArgs, Producer, Settings};
use serde::Serialize;
use service::{BadUsage, clock, output};

use self::draft::{Draft, NewKey};
use self::history::{History, Logged};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add the next version of a customer's account; the first one opens it
    ///
    /// API keys and limits of the version before stay unless flags say otherwise.
    #[command(after_help = "\
Examples:
  ingest accounts add --customer acme --plan per-conversion --currency EUR
  ingest accounts add --customer acme --plan per-conversion --currency EUR --effective-from 2026-12-01T00:00:00Z
  ingest accounts add --customer acme --plan per-conversion --currency EUR --api-key-id k2 --revoke-key-id k1
  ingest accounts add --customer acme --plan per-conversion --currency EUR \\
    --preset 'thumb={\"width\":64,\"height\":64,\"fit\":\"cover\"}'")]
    Add(Box<AddArgs>),
    /// List each customer's newest version, or all that the log still holds
    #[command(after_help = "\
Examples:
  ingest accounts list
  ingest accounts list --customer acme --history --json")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The customer: 3 to 64 of a-z 0-9 _ -, and nothing personal
    #[arg(long, value_name = "ID")]
    customer: CustomerId,

    /// A plan of the price book
    #[arg(long, value_name = "NAME")]
    plan: PlanName,

    /// What the customer is billed in: an ISO 4217 code
    #[arg(long, value_name = "CODE")]
    currency: contract::account::Currency,

    /// The customer's home region; other regions refuse the customer
    #[arg(long, env = "PIXTOLL_REGION", value_name = "NAME", default_value = "local")]
    region: Region,

    /// From when the version holds; now when absent. A bill goes by the version in force when its month begins
    #[arg(long, value_name = "TIME")]
    effective_from: Option<BrokerTime>,

    /// Make an API key of this name: printed once, kept only as the sha256 of the 64 printed digits
    #[arg(long, value_name = "KEY-ID")]
    api_key_id: Option<KeyId>,

    /// Drop the API key of this name; may be repeated
    #[arg(long, value_name = "KEY-ID")]
    revoke_key_id: Vec<KeyId>,

    /// How many requests a second are taken; 0 lifts the limit
    #[arg(long, value_name = "N")]
    requests_per_second: Option<u32>,

    /// Define parameters that requests may name: NAME=JSON, the fields being a request's own; may be repeated. A name
    /// never changes its meaning
    #[arg(long, value_name = "NAME=JSON", value_parser = preset)]
    preset: Vec<(Label, Resize)>,

    /// Answer in JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    kafka: KafkaArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only this customer
    #[arg(long, value_name = "ID")]
    customer: Option<CustomerId>,

    /// All versions that the log holds, not only the newest
    #[arg(long)]
    history: bool,

    /// Answer in JSON, one line per version
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    kafka: KafkaArgs,
}

#[derive(Debug)]
pub(crate) enum Config {
    Add { kafka: Settings, draft: Box<Draft>, json: bool },
    List { kafka: Settings, customer: Option<CustomerId>, history: bool, json: bool },
}

impl Command {
    pub(crate) fn config(self) -> Result<Config, BadUsage> {
        let settings = |kafka: &KafkaArgs| kafka.settings().map_err(|e| BadUsage(e.to_string()));
        Ok(match self {
            Self::Add(args) => Config::Add {
                kafka: settings(&args.kafka)?,
                json: args.json,
                draft: Box::new(Draft {
                    customer_id: args.customer,
                    plan: args.plan,
                    currency: args.currency,
                    home_region: args.region,
                    effective_from: args.effective_from,
                    new_key_id: args.api_key_id,
                    revoked_key_ids: args.revoke_key_id,
                    requests_per_second: args.requests_per_second,
                    presets: args.preset,
                }),
            },
            Self::List(args) => Config::List {
                kafka: settings(&args.kafka)?,
                customer: args.customer,
                history: args.history,
                json: args.json,
            },
        })
    }
}

fn preset(text: &str) -> Result<(Label, Resize), String> {
    let (name, fields) = text.split_once('=').ok_or(r#"not NAME=JSON, such as thumb={"width":64}"#)?;
    let resize: Resize = serde_json::from_str(fields).map_err(|error| error.to_string())?;
    if resize.preset.is_some() {
        return Err("a preset can't name a preset".to_owned());
    }
    let known = serde_json::to_value(&resize).map_err(|error| error.to_string())?;
    let given: BTreeMap<String, serde_json::Value> = serde_json::from_str(fields).map_err(|error| error.to_string())?;
    match given.keys().find(|field| known.get(field).is_none()) {
        Some(field) => Err(format!("a request has no field {field:?}")),
        None => Ok((name.parse().map_err(|error| format!("{name:?}: {error}"))?, resize)),
    }
}

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    match config {
        Config::Add { kafka, draft, json } => {
            let (account, key) = add(&kafka, &draft).await?;
            print_added(&account, key.as_ref(), json)
        }
        Config::List { kafka, customer, history, json } => {
            let log = read(&kafka).await?;
            let of_customer = |logged: &&Logged| customer.as_ref().is_none_or(|c| *c == logged.account.customer_id);
            let listed = log.entries().iter().filter(of_customer).filter(|logged| history || log.is_newest(logged));
            print_list(&log, &listed.collect::<Vec<_>>(), json)
        }
    }
}

async fn read(kafka: &Settings) -> anyhow::Result<History> {
    let kafka = kafka.clone();
    tokio::task::spawn_blocking(move || history::read(&kafka)).await.context("the reading thread")?
}

async fn add(kafka: &Settings, draft: &Draft) -> anyhow::Result<(AccountVersion, Option<NewKey>)> {
    let key = draft.new_key_id.clone().map(NewKey::make).transpose()?;
    let before = read(kafka).await?;
    let latest = before.newest(&draft.customer_id).map(|logged| &logged.account);
    let account = draft.next(latest, key.as_ref(), clock::now())?;
    let (customer, version) = (&account.customer_id, account.version);
    let sent = Producer::new(kafka)?.send(Topic::Accounts, &account.to_record()?).await;
    let sent = sent.context("whether it counts is unknown; look with `ingest accounts list`")?;
    match read(kafka).await?.first(customer, version) {
        Some(first) if (first.partition, first.offset) == (sent.partition, sent.offset) => Ok((account, key)),
        Some(_) => bail!(
            "somebody else added a version {version} of {customer} at the same moment and was first, so this one does \
             not count; look with `ingest accounts list --customer {customer}`, then add it again"
        ),
        None => bail!("version {version} of {customer} was acknowledged, yet the log does not hold it"),
    }
}

#[derive(Serialize)]
struct Added<'a> {
    #[serde(flatten)]
    account: &'a AccountVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<&'a str>,
}

fn print_added(account: &AccountVersion, key: Option<&NewKey>, json: bool) -> anyhow::Result<()> {
    if json {
        let api_key = key.map(|key| key.text.as_str());
        return Ok(output::json(&Added { account, api_key })?);
    }
    let AccountVersion { customer_id, version, effective_from, plan, currency, home_region, .. } = account;
    output::line(format!(
        "{customer_id} version {version}: plan {plan}, {currency}, region {home_region}, effective from {effective_from}"
    ));
    if let Some(key) = key {
        output::line(format!("API key {}, shown only this once: {}", key.id, key.text));
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    account: &'a AccountVersion,
    partition: i32,
    offset: i64,
    #[serde(rename = "appended_at_ms")]
    appended_at: BrokerTime,
    /// False for one whose number was taken: it changes nothing.
    counts: bool,
}

fn print_list(log: &History, listed: &[&Logged], json: bool) -> anyhow::Result<()> {
    if json {
        for logged in listed {
            let Logged { partition, offset, appended_at, ref account } = **logged;
            output::json(&Listed { account, partition, offset, appended_at, counts: log.counts(logged) })?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "CUSTOMER",
        "VERSION",
        "EFFECTIVE FROM",
        "PLAN",
        "CURRENCY",
        "REGION",
        "API KEYS",
        "REQUESTS/S",
        "PRESETS",
        "",
    ]);
    for logged in listed {
        let account = &logged.account;
        let keys: Vec<&str> = account.api_keys.iter().map(|key| key.key_id.as_str()).collect();
        table.add_row([
            account.customer_id.to_string(),
            account.version.to_string(),
            account.effective_from.to_string(),
            account.plan.to_string(),
            account.currency.to_string(),
            account.home_region.to_string(),
            keys.join(" "),
            account.limits.requests_per_second.map_or_else(|| "-".to_owned(), |n| n.to_string()),
            account.presets.keys().map(Label::as_str).collect::<Vec<_>>().join(" "),
            (if log.counts(logged) { "" } else { "does not count: its number was taken" }).to_owned(),
        ]);
    }
    output::line(table.trim_fmt());
    Ok(())
}
