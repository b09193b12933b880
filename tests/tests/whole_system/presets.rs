//! Named presets of accounts.

use anyhow::{Context, Result};
use contract::AccountVersion;
use contract::account::Limits;
use contract::footer::Clock;
use contract::resize::{Fit, OutputFormat, Presets, Resize};
use contract::usage::Reason;
use system_tests::harness::{Expected, Planned, Publisher, System, Topics, check_results};

use crate::mixture::{resize, tiny};
use crate::{PATIENCE, customer, now};

async fn account(publisher: &mut Publisher, customer: &str, version: u32, presets: Presets) -> Result<()> {
    let account = AccountVersion {
        customer_id: crate::customer(customer)?,
        version,
        effective_from: now(),
        plan: "basic".parse()?,
        currency: "EUR".parse().map_err(anyhow::Error::msg)?,
        home_region: "local".parse()?,
        api_keys: Vec::new(),
        limits: Limits::default(),
        presets,
    };
    publisher.account(&account, None).await
}

#[tokio::test]
async fn a_preset_gives_what_the_request_leaves_out() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "presets")?;
    let (acme, photo) = (customer("acme")?, tiny()?);
    let mut publisher = system.publisher()?;
    let _aggregator = system.aggregator()?.spawn()?;
    let worker = system.worker()?.spawn_ready().await?;
    for name in ["acme", "globex"] {
        publisher.upload(&customer(name)?, &photo).await?;
    }
    let fill = Resize { fit: Some(Fit::Fill), format: Some(OutputFormat::Png), ..resize(10, 4) };
    let thumb = Presets::from([("thumb".parse()?, fill.clone())]);
    let later = Presets::from([("thumb".parse()?, resize(5, 5)), ("late".parse()?, resize(3, 3))]);
    let named = |name: &str| anyhow::Ok(Resize { preset: Some(name.parse()?), ..Resize::default() });

    // (customer, asked for, what that comes to); each right behind the account version that defines it.
    account(&mut publisher, "globex", 1, Presets::new()).await?;
    account(&mut publisher, "acme", 1, thumb).await?;
    let wider = Resize { width: Some(12), ..named("thumb")? };
    let first = [
        ("acme", named("thumb")?, Some(fill.clone())),
        ("acme", wider.clone(), Some(wider.or(&fill))),
        ("acme", named("thum")?, None),
        ("globex", named("thumb")?, None),
        ("acme", named("late")?, None),
    ];
    let second = [("acme", named("late")?, Some(resize(3, 3))), ("acme", named("thumb")?, Some(fill))];
    for (cases, version) in [(first.to_vec(), None), (second.to_vec(), Some(later))] {
        if let Some(presets) = version {
            account(&mut publisher, "acme", 2, presets).await?;
        }
        for (name, asked, meant) in cases {
            let request = publisher.request(&customer(name)?, &photo, &asked, now());
            let planned = Planned::request(&request, &photo)?;
            let expected = match meant {
                Some(meant) => Expected::Done { output: photo.resized(&meant) },
                None => Expected::Rejected(Reason::UnknownPreset),
            };
            publisher.publish([Planned { expected, ..planned }]).await?;
        }
        // An unknown name is so only at its time.
        system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    }
    let landed = system.landed().await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (4, 3), "{counts:?}");
    check_results(&system.store, &publisher.ledger).await?;

    // A worker that starts knows them, too.
    worker.stop(PATIENCE).await?;
    let worker = system.worker()?.spawn()?;
    let request = publisher.request(&acme, &photo, &named("late")?, now());
    let expected = Expected::Done { output: photo.resized(&resize(3, 3)) };
    publisher.publish([Planned { expected, ..Planned::request(&request, &photo)? }]).await?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    publisher.ledger.check(&landed).map(drop)
}
