//! What the demo asks for: three customers, photographs at several sizes and formats, and the things that go wrong.

use std::time::Duration;

use anyhow::{Context, Result};
use contract::request::Attempt;
use contract::resize::{OutputFormat, Resize};
use contract::usage::Reason;
use contract::{BrokerTime, CustomerId, Month, Record, ResizeRequest};

use super::say::done;
use super::within;
use crate::harness::{Photo, Planned, Publisher, System, wait_for};

const SIZES: [(u32, u32); 5] = [(64, 64), (160, 120), (320, 240), (480, 480), (800, 600)];
const FORMATS: [OutputFormat; 3] = [OutputFormat::Jpeg, OutputFormat::Webp, OutputFormat::Png];

/// The three plans of the demo's price book; how each is priced is computed independently in `bills.rs`.
pub(super) const PRICE_BOOK: &str = r#"
version = 1
effective_from = "2020-01"
rating_version = 1

[plans.per-conversion]
currency = "EUR"
[[plans.per-conversion.charges]]
id = "conversions"
meter = "conversions"
model = "per_unit"
unit_price = "0.0021"

[plans.cpu-tiers]
currency = "EUR"
[[plans.cpu-tiers.charges]]
id = "base-fee"
model = "flat"
amount = "5.00"
[[plans.cpu-tiers.charges]]
id = "cpu"
meter = "cpu_seconds"
model = "graduated"
tiers = [ { up_to = "0.2", unit_price = "0.80" }, { up_to = "1", unit_price = "0.60" }, { unit_price = "0.40" } ]

[plans.packages]
currency = "EUR"
[[plans.packages.allowances]]
meter = "conversions"
quantity = "10"
[[plans.packages.charges]]
id = "packages"
meter = "conversions"
model = "package"
size = "20"
price = "1.90"
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pricing {
    PerConversion,
    CpuTiers,
    Packages,
}

impl Pricing {
    const fn plan(self) -> &'static str {
        match self {
            Self::PerConversion => "per-conversion",
            Self::CpuTiers => "cpu-tiers",
            Self::Packages => "packages",
        }
    }
}

pub(super) struct Plan {
    pub(super) month: Month,
    pub(super) photos: Vec<Photo>,
    pub(super) customers: Vec<(CustomerId, Pricing)>,
}

impl Plan {
    pub(super) fn new(month: Month, photos: Vec<Photo>) -> Self {
        let customers =
            [("shop", Pricing::PerConversion), ("gallery", Pricing::CpuTiers), ("newsroom", Pricing::Packages)];
        let customers = customers.into_iter().filter_map(|(name, pricing)| Some((name.parse().ok()?, pricing)));
        Self { month, photos, customers: customers.collect() }
    }

    pub(super) async fn open_accounts(&self, system: &System) -> Result<()> {
        for (customer_id, pricing) in &self.customers {
            let from = self.month.start().to_string();
            let account = ["accounts", "add", "--customer", customer_id.as_str(), "--plan", pricing.plan()];
            let terms = ["--currency", "EUR", "--region", "local", "--effective-from", &from];
            let add = system.tool("ingest")?.args(account).args(terms).args(system.topics.flags());
            add.finish().await?.ok()?;
        }
        let names: Vec<String> =
            self.customers.iter().map(|(id, pricing)| format!("{id} ({})", pricing.plan())).collect();
        done(format!("accounts: {}", names.join(", ")));
        Ok(())
    }

    fn first(&self) -> Result<(&CustomerId, &Photo)> {
        let (customer_id, _) = self.customers.first().context("no customer")?;
        Ok((customer_id, self.photos.first().context("no photograph")?))
    }

    /// Every photograph, size and format for every customer, spread over the month to its last millisecond, and some
    /// in the month after; a few of them twice, one id with two bodies, one corrupt, one without its source, one unreadable.
    pub(super) async fn publish_many(&self, publisher: &mut Publisher) -> Result<()> {
        let mut planned = self.main(publisher)?;
        let twice: Vec<Planned> = planned.iter().step_by(29).cloned().collect();
        done(format!("{} requests, {} of them twice", planned.len(), twice.len()));
        planned.extend(twice);
        planned.extend(self.two_bodies(publisher)?);
        planned.push(self.corrupt(publisher).await?);
        planned.push(unreadable(within(self.month, 500)));
        done("one id with two bodies, one corrupt photograph, one record that is not JSON");
        publisher.publish(planned).await
    }

    /// Uploads the photographs. Then a source that comes late, and a retry after a lost answer.
    pub(super) async fn publish_few(&self, system: &System, publisher: &mut Publisher) -> Result<()> {
        for (customer_id, _) in &self.customers {
            for photo in &self.photos {
                publisher.upload(customer_id, photo).await?;
            }
        }
        let (customer_id, photo) = self.first()?;
        // One more byte makes other content, which nobody has uploaded yet.
        let late = Photo::new("late", [photo.bytes.as_ref(), b"\n"].concat())?;
        let resize = Resize { width: Some(100), ..Resize::default() };
        let asked = publisher.request(customer_id, &late, &resize, within(self.month, 600));
        let first = Planned::request(&asked, &late)?.rejected(Reason::SourceMissing).at(within(self.month, 600));
        publisher.publish([first]).await?;
        done("one request before its source is there");

        let retried = publisher.request(customer_id, photo, &resize, within(self.month, 700));
        // Far from now, whose past the month is.
        let deadline = self.month.end().plus_millis(365 * 24 * 3_600_000);
        let deadline = Attempt { deadline: Some(deadline), ..Attempt::default() };
        let mut again = Planned::request(&retried, photo)?.at(within(self.month, 700).plus_millis(900));
        again.record = retried.to_record(&deadline)?;
        publisher.publish([Planned::request(&retried, photo)?.at(within(self.month, 700)), again]).await?;
        done("one producer that lost its answer, and retries with the same id");
        self.source_arrives(system, publisher, &asked, &late).await
    }

    /// The same id again, with its source uploaded: once the first attempt has been rejected.
    async fn source_arrives(
        &self,
        system: &System,
        publisher: &mut Publisher,
        asked: &ResizeRequest,
        late: &Photo,
    ) -> Result<()> {
        wait_for("the request without its source to be rejected", Duration::from_mins(1), || async {
            let landed = system.landed().await?;
            let answered = landed.answers().any(|(_, answer)| answer.conversion.request_id == asked.request_id);
            Ok(answered.then_some(()))
        })
        .await?;
        publisher.upload(&asked.customer_id, late).await?;
        let again = Planned::request(asked, late)?.at(within(self.month, 600).plus_millis(60_000));
        publisher.publish([again]).await?;
        done("its source uploaded, and the same request again");
        Ok(())
    }

    fn main(&self, publisher: &mut Publisher) -> Result<Vec<Planned>> {
        let mut planned = Vec::new();
        let jobs = SIZES.len() * FORMATS.len() * self.photos.len() * self.customers.len();
        for (customer_id, _) in &self.customers {
            for photo in &self.photos {
                for (width, height) in SIZES {
                    for format in FORMATS {
                        let resize = Resize {
                            width: Some(width),
                            height: Some(height),
                            format: Some(format),
                            ..Resize::default()
                        };
                        let time = self.time(planned.len(), jobs)?;
                        let asked = publisher.request(customer_id, photo, &resize, time);
                        planned.push(Planned::request(&asked, photo)?.at(time));
                    }
                }
            }
        }
        Ok(planned)
    }

    /// Nine tenths of the jobs at twenty times of the month and at its first and last millisecond, the rest just after.
    fn time(&self, job: usize, jobs: usize) -> Result<BrokerTime> {
        Ok(match job {
            0 => self.month.start(),
            1 => self.month.end().plus_millis(-1),
            2 => self.month.end(),
            _ if job % 10 == 9 => self.month.end().plus_millis(i64::try_from(job)?),
            _ => within(self.month, 50 * i64::try_from(20 * job / jobs.max(1))?),
        })
    }

    fn two_bodies(&self, publisher: &mut Publisher) -> Result<Vec<Planned>> {
        let (customer_id, photo) = self.first()?;
        let time = within(self.month, 400);
        let first = publisher.request(customer_id, photo, &Resize { width: Some(50), ..Resize::default() }, time);
        let second = ResizeRequest { resize: Resize { width: Some(51), ..Resize::default() }, ..first.clone() };
        [first, second].iter().map(|asked| Ok(Planned::request(asked, photo)?.at(time))).collect()
    }

    /// A photograph of which a third arrived.
    async fn corrupt(&self, publisher: &mut Publisher) -> Result<Planned> {
        let (customer_id, photo) = self.first()?;
        let torn = Photo::new("torn", photo.bytes.slice(..photo.bytes.len() / 3))?;
        publisher.upload(customer_id, &torn).await?;
        let time = within(self.month, 450);
        let asked = publisher.request(customer_id, &torn, &Resize { width: Some(50), ..Resize::default() }, time);
        Ok(Planned::request(&asked, &torn)?.rejected(Reason::TruncatedImage).at(time))
    }
}

fn unreadable(time: BrokerTime) -> Planned {
    let record = Record { key: Some(b"who knows".to_vec()), headers: Vec::new(), payload: Some(b"not JSON".to_vec()) };
    Planned::undecodable(record, "missing_header").at(time)
}
