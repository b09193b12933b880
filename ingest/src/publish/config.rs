//! Flags of `ingest publish`, and the configuration made of them once.

use std::path::PathBuf;
use std::time::Duration;

use contract::footer::Clock;
use contract::ids::Label;
use contract::resize::{OutputFormat, Resize};
use contract::{BrokerTime, CustomerId, KeyId};
use log::{KafkaArgs, Settings};
use service::BadUsage;
use service::flags::{ResizeArgs, StoreArgs, word};

use super::size::Size;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = "\
Examples:
  ingest publish --customer acme --size 320x240 photos/*.jpg
  ingest publish --customer acme --size 320x --size 64x64 --fit cover --format webp --wait --out small 'photos/**/*.png'
  ingest publish --customer acme --preset thumb photos/*.jpg
  ingest publish --customer acme --size 320x240 photos/*.jpg --journal pixtoll-publish-….jsonl --wait

On stdout, by tabs: id, file, size, format; with --wait then id, outcome, file, and the saved image or the reason.")]
pub(crate) struct Args {
    /// Whose requests these are
    #[arg(long, env = "PIXTOLL_CUSTOMER", value_name = "ID")]
    customer: CustomerId,

    /// Images, or patterns of their names, of up to 20 MB each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// The box to resize to, in pixels: 320x240, or 320x or x240 for one side only; may be repeated
    #[arg(long, required_unless_present = "preset", value_name = "WxH")]
    size: Vec<Size>,

    /// The output's format, the image's own when absent; may be repeated
    #[arg(long, value_parser = word::<OutputFormat>(&["jpeg", "png", "webp", "auto"]))]
    format: Vec<OutputFormat>,

    /// Parameters that the customer's account defines by this name; flags given here go before them
    #[arg(long, value_name = "NAME")]
    preset: Option<Label>,

    #[command(flatten)]
    resize: ResizeArgs,

    /// Put images of up to 256 KiB into the requests instead of the store
    #[arg(long)]
    inline: bool,

    /// Where the ids are kept. One that exists is gone on with; pixtoll-publish-ID.jsonl is made when absent
    #[arg(long, value_name = "PATH")]
    journal: Option<PathBuf>,

    /// Send what the journal says was acknowledged, too: asks again, by the same ids, for what was rejected
    #[arg(long, requires = "journal")]
    resend: bool,

    /// Wait for the answers and save the images; exit code 1 unless all were done
    #[arg(long)]
    wait: bool,

    /// The folder to save images into
    #[arg(long, value_name = "FOLDER", default_value = "./pixtoll-out")]
    out: PathBuf,

    /// How long to wait for the answers once all is sent
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Past this, counted from sending, the answer is no longer wanted: the work is then rejected undone
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,

    /// The name of the API key that the usage is put down to
    #[arg(long, value_name = "KEY-ID")]
    key_id: Option<KeyId>,

    /// Answer in JSON lines
    #[arg(long)]
    json: bool,

    /// Development only, with --producer-times: mint the ids and stamp the records with this time
    #[arg(long, hide = true, value_name = "TIME")]
    as_of: Option<BrokerTime>,

    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
}

/// What is to be made of which files.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) patterns: Vec<String>,
    /// `None` is the preset's.
    pub(crate) sizes: Vec<Option<Size>>,
    /// `None` is the preset's or the image's own format.
    pub(crate) formats: Vec<Option<OutputFormat>>,
    /// All other parameters.
    pub(crate) resize: Resize,
}

/// What publishing needs, validated.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) kafka: Settings,
    pub(crate) store: String,
    pub(crate) customer_id: CustomerId,
    pub(crate) wish: Wish,
    pub(crate) inline: bool,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) resend: bool,
    pub(crate) wait: Option<Wait>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) key_id: Option<KeyId>,
    pub(crate) as_of: Option<BrokerTime>,
    pub(crate) json: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Wait {
    pub(crate) out: PathBuf,
    pub(crate) timeout: Duration,
}

impl Args {
    pub(crate) fn config(self) -> Result<Config, BadUsage> {
        let kafka = self.kafka.settings().map_err(|e| BadUsage(e.to_string()))?;
        if self.as_of.is_some() && kafka.clock == Clock::Broker {
            return Err(BadUsage(
                "--as-of: needs --producer-times, for the broker's clock decides otherwise".to_owned(),
            ));
        }
        let formats = each_or_none(self.format);
        let sizes = each_or_none(self.size);
        let resize = Resize { preset: self.preset, ..self.resize.resize() };
        Ok(Config {
            kafka,
            store: self.store.store,
            customer_id: self.customer,
            wish: Wish { patterns: self.files, sizes, formats, resize },
            inline: self.inline,
            journal: self.journal,
            resend: self.resend,
            wait: self.wait.then_some(Wait { out: self.out, timeout: self.timeout }),
            deadline: self.deadline,
            key_id: self.key_id,
            as_of: self.as_of,
            json: self.json,
        })
    }
}

/// Each once, or one that says nothing.
fn each_or_none<T: PartialEq>(all: Vec<T>) -> Vec<Option<T>> {
    let each = once_each(all.into_iter().map(Some));
    if each.is_empty() { vec![None] } else { each }
}

/// In the order given; what was said twice is meant once.
pub(crate) fn once_each<T: PartialEq>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}
