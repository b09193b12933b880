//! Dedup, rollup and the month's edges.

use contract::usage::Reason;
use contract::{IdHour, Month, UsageEvent};
use indicatif::ProgressBar;

use super::landing::{Landing, done, id, job, other_body, rejected, request};
use crate::rollup::{self, Figures, Stored};
use crate::usage::month_usage;

const MONTH: &str = "2026-10";

fn month() -> Month {
    MONTH.parse().unwrap()
}

/// (conversions, cpu_micros) of each outcome, billed to `acme` in October.
async fn billed(landing: &Landing) -> ((i128, i128), (i128, i128), Figures) {
    let lake = landing.lake().await;
    let rollups = rollup::roll_up(&lake, &job(MONTH, Stored::Reuse), &ProgressBar::hidden()).await.unwrap();
    let usage = month_usage(&rollups, month()).unwrap();
    let of = |outcome: rating::Outcome| {
        let groups = usage.values().flat_map(|usage| &usage.groups).filter(|(group, _)| group.outcome == outcome);
        groups.fold((0, 0), |(n, cpu), (_, q)| (n + q.conversions.get(), cpu + q.cpu_micros.get()))
    };
    (of(rating::Outcome::Done), of(rating::Outcome::Rejected), rollup::total(&rollups))
}

const NOON: &str = "2026-10-10T12:00:00Z";
const LATER: &str = "2026-10-10T12:30:00Z";

#[tokio::test]
async fn dedup_1_done_wins_over_rejected_then_the_earliest_then_the_lowest_place() {
    let check = async |partitions: &[&[UsageEvent]], cpu_micros: i128| {
        let mut landing = Landing::new();
        for (partition, events) in (0..).zip(partitions) {
            landing.events(partition, events).await;
        }
        let (done, rejected, figures) = billed(&landing).await;
        assert_eq!((done, rejected), ((1, cpu_micros), (0, 0)));
        assert_eq!((figures.billable, figures.duplicates), (1, figures.landed - 1));
    };
    let asked = request("acme", id(NOON, 1), 320);
    // Attack 1: the source came late; the rejection before it doesn't make the conversion free.
    check(&[&[rejected(&asked, 0, NOON, Reason::SourceMissing), done(&asked, 1, LATER, 70)]], 70).await;
    check(&[&[done(&asked, 1, LATER, 70), done(&asked, 0, NOON, 50)]], 50).await;
    check(&[&[done(&asked, 0, NOON, 80)], &[done(&asked, 0, NOON, 20)]], 80).await;
    check(&[&[done(&asked, 0, NOON, 80), done(&asked, 0, NOON, 20)]], 80).await;
}

/// Attack 2: nobody gets work free by using one id for many bodies.
#[tokio::test]
async fn dedup_1_one_id_with_a_thousand_bodies_is_a_thousand_conversions_and_one_conflict() {
    let mut landing = Landing::new();
    let asked = request("acme", id(NOON, 1), 320);
    let bodies: Vec<UsageEvent> = (0..1000_u32)
        .map(|n| {
            let mut event = done(&request("acme", asked.request_id, n), i64::from(n), NOON, 3);
            event.fingerprint = request("acme", asked.request_id, n).fingerprint().unwrap();
            event
        })
        .collect();
    landing.events(0, &bodies).await;
    let (done, _, figures) = billed(&landing).await;
    assert_eq!(done, (1000, 3000));
    assert_eq!((figures.billable, figures.conflicts), (1000, 1));
}

#[tokio::test]
async fn another_customers_same_id_is_another_conversion() {
    let mut landing = Landing::new();
    let ours = request("acme", id(NOON, 1), 320);
    let theirs = request("umbrella", id(NOON, 1), 320);
    landing.events(0, &[done(&ours, 0, NOON, 3), done(&theirs, 1, NOON, 3)]).await;
    assert_eq!(billed(&landing).await.2.billable, 2);
}

/// The billing time is the winner's acceptance, half-open; the id's own time decides nothing but the unit (attack 7).
#[tokio::test]
async fn a_month_holds_what_was_accepted_in_it() {
    let check = async |minted: &str, accepted: &str, conversions: i128| {
        let mut landing = Landing::new();
        landing.events(0, &[done(&request("acme", id(minted, 1), 320), 0, accepted, 3)]).await;
        assert_eq!(billed(&landing).await.0.0, conversions, "minted {minted}, accepted {accepted}");
    };
    check("2026-09-30T23:59:59.999Z", "2026-09-30T23:59:59.999Z", 0).await;
    check("2026-09-30T23:59:59.999Z", "2026-10-01T00:00:00Z", 1).await;
    check("2026-10-31T23:59:59.999Z", "2026-10-31T23:59:59.999Z", 1).await;
    check("2026-10-31T23:59:59.999Z", "2026-11-01T00:00:00Z", 0).await;
    check("2026-11-01T00:05:00Z", "2026-10-31T23:59:59.999Z", 1).await; // a producer's clock ahead
}

#[tokio::test]
async fn an_id_out_of_range_is_deduplicated_by_its_append_hour() {
    let mut landing = Landing::new();
    let asked = request("acme", id("2020-01-01T00:00:00Z", 1), 320);
    let event = rejected(&asked, 0, NOON, Reason::RequestIdOutOfRange);
    landing.events(0, &[event.clone(), event.clone()]).await;
    let (done, rejected, figures) = billed(&landing).await;
    assert_eq!((done, rejected, figures.duplicates), ((0, 0), (1, 5), 1));
    let lake = landing.lake().await;
    let rollups = rollup::roll_up(&lake, &job(MONTH, Stored::Reuse), &ProgressBar::hidden()).await.unwrap();
    assert_eq!(rollups[0].id_hour, IdHour::OutOfRange(event.accepted_at.hour()));
}

#[tokio::test]
async fn a_rollup_is_reused_until_its_inputs_change() {
    let mut landing = Landing::new();
    let asked = request("acme", id(NOON, 1), 320);
    let other = request("acme", id("2026-10-10T13:00:00Z", 2), 320);
    landing.events(0, &[done(&asked, 0, NOON, 3), done(&other, 1, "2026-10-10T13:00:00Z", 3)]).await;
    let reused = async |landing: &Landing| {
        let rollups =
            rollup::roll_up(&landing.lake().await, &job(MONTH, Stored::Reuse), &ProgressBar::hidden()).await.unwrap();
        rollups.iter().map(|rollup| rollup.reused).collect::<Vec<_>>()
    };
    assert_eq!(reused(&landing).await, [false, false]);
    assert_eq!(reused(&landing).await, [true, true]);
    landing.events(0, &[other_body(done(&asked, 0, NOON, 3), 9)]).await;
    assert_eq!(reused(&landing).await, [false, true], "a late event re-rolls just its id-hour");
}

/// Sums stay exact past what an i64 holds; SUM(BIGINT) would wrap.
#[tokio::test]
async fn sums_do_not_wrap() {
    let mut landing = Landing::new();
    let largest = (1_i64 << 53) - 1;
    let events: Vec<UsageEvent> = (0..2000_u32)
        .map(|n| {
            let n_bytes = n.to_be_bytes();
            let random = [n_bytes[0], n_bytes[1], n_bytes[2], n_bytes[3], 0, 0, 0, 0, n_bytes[2], n_bytes[3]];
            let id = contract::RequestId::from_parts(super::landing::at(NOON), random);
            done(&request("acme", id, 320), i64::from(n), NOON, largest)
        })
        .collect();
    landing.events(0, &events).await;
    let expected = 2000 * i128::from(largest);
    assert!(expected > i128::from(i64::MAX));
    assert_eq!(billed(&landing).await.0, (2000, expected));
}
