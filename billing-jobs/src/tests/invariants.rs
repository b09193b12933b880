//! Each invariant broken on purpose and seen named, and what may become final.

use contract::layout::Topic;
use contract::{BrokerTime, Month, Record};
use indicatif::ProgressBar;

use super::landing::{Landing, account, at, done, id, job, other_body, request};
use crate::closing::closing;
use crate::draft::{self, Draft};
use crate::finalize::{self, Decision, Finalized};
use crate::price_books::{self, Published};
use crate::reconcile::{Report, reconcile};
use crate::rollup::Stored;

const NOON: &str = "2026-10-10T12:00:00Z";
const CLOSED: &str = "2026-11-01T00:10:00Z";
const BOOK: &str = r#"
version = 1
effective_from = "2026-01"
rating_version = 1
[plans.simple]
currency = "EUR"
[[plans.simple.charges]]
id = "conversions"
meter = "conversions"
model = "per_unit"
unit_price = "0.015"
"#;

const MONTH: &str = "2026-10";

fn month() -> Month {
    MONTH.parse().unwrap()
}

async fn prices(landing: &Landing) -> Published {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), BOOK).unwrap();
    price_books::publish(&landing.store, file.path()).await.unwrap().0
}

/// One customer, one answered request.
async fn healthy() -> Landing {
    let mut landing = Landing::new();
    landing.account(&account("acme", 1, "2026-09-01T00:00:00Z", "simple")).await;
    let asked = request("acme", id(NOON, 1), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, NOON, 7)]).await;
    landing
}

async fn drafted(landing: &Landing) -> (Draft, Report) {
    let lake = landing.lake().await;
    let prices = prices(landing).await;
    let last = seals::read_runs(&landing.store).await.unwrap().last().map(|stored| stored.sha256);
    let draft = draft::compute(&lake, &job(MONTH, Stored::Reuse), &prices, last, &ProgressBar::hidden()).await.unwrap();
    draft::write(&landing.store, &draft).await.unwrap();
    let report = reconcile(&lake, &draft, Some(&draft.bills_jsonl)).await.unwrap();
    (draft, report)
}

/// Which invariants are broken.
async fn broken(landing: &Landing) -> Vec<&'static str> {
    let (_, report) = drafted(landing).await;
    report.checks.iter().filter(|check| !check.holds).map(|check| check.invariant).collect()
}

#[tokio::test]
async fn all_hold_on_a_healthy_lake() {
    let landing = healthy().await;
    let (draft, report) = drafted(&landing).await;
    assert!(report.holds(), "{report:?}");
    assert_eq!(draft.bills[0].total.to_string(), "0.02"); // 0.015, half away from zero
    assert_eq!(draft.bills[0].residue.to_string(), "-0.005");
}

#[tokio::test]
async fn log_1_a_request_without_an_answer_is_named() {
    let mut landing = healthy().await;
    let asked = request("acme", id(NOON, 2), 320);
    landing.request(&asked, NOON).await;
    let (_, report) = drafted(&landing).await;
    assert!(!report.holds());
    assert!(report.checks[0].broken[0].contains(&asked.request_id.to_string()), "{:?}", report.checks[0]);
}

/// The offset alone is not enough: a re-created topic has it again.
#[tokio::test]
async fn log_1_an_answer_to_another_append_time_does_not_count() {
    let mut landing = healthy().await;
    let asked = request("acme", id(NOON, 2), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, "2026-10-10T12:00:01Z", 7)]).await;
    assert_eq!(broken(&landing).await, ["LOG-1", "LOG-2"]);
}

#[tokio::test]
async fn log_1_an_undecodable_request_is_answered_by_its_dead_letter() {
    let mut landing = healthy().await;
    let junk = Record { key: None, headers: Vec::new(), payload: Some(b"junk".to_vec()) };
    let offset = landing.land(Topic::Requests, 0, &[(at(NOON), junk.clone())]).await;
    assert_eq!(broken(&landing).await, ["LOG-1"]);
    let error = contract::ResizeRequest::from_record(&junk.view()).unwrap_err();
    let letter = contract::DeadLetter::wrap(&junk.view(), "resize.requests", 0, offset, at(NOON), &error);
    landing.land(Topic::DeadLetters, 0, &[(at(NOON), letter)]).await;
    assert_eq!(broken(&landing).await, [""; 0]);
}

/// A stray letter does not make a readable request answered.
#[tokio::test]
async fn log_1_a_dead_letter_answers_only_the_record_that_it_carries() {
    let mut landing = healthy().await;
    let asked = request("acme", id(NOON, 2), 320);
    let offset = landing.request(&asked, NOON).await;
    let record = asked.to_record(&contract::request::Attempt::default()).unwrap();
    let error = contract::record::DecodeError::MissingKey;
    let letter = contract::DeadLetter::wrap(&record.view(), "resize.requests", 0, offset, at(NOON), &error);
    landing.land(Topic::DeadLetters, 0, &[(at(NOON), letter)]).await;
    assert_eq!(broken(&landing).await, ["LOG-1"]);
}

/// What follows a gap is billed, and who billed it knows of the gap.
#[tokio::test]
async fn land_1_an_accepted_gap_is_shown_by_every_draft() {
    let mut landing = healthy().await;
    assert_eq!(drafted(&landing).await.0.inputs.gaps, []);
    landing.accept_gap(Topic::Usage, 0, 3).await;
    let asked = request("acme", id(NOON, 2), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, NOON, 7)]).await;
    let (draft, report) = drafted(&landing).await;
    assert!(report.holds(), "{report:?}");
    assert_eq!(draft.bills[0].lines[0].quantity.to_string(), "2");
    let shown: serde_json::Value = serde_json::from_slice(&draft.inputs_json).unwrap();
    assert_eq!(shown["gaps"][0]["opened"]["epoch"], 1);
    assert_eq!(shown["gaps"][0]["gap"]["operator"], "kim");
    assert_eq!((&shown["gaps"][0]["gap"]["from"], &shown["gaps"][0]["gap"]["to"]), (&1.into(), &4.into()));
}

/// An event whose id was minted a month before it was accepted is in no rollup of the month.
#[tokio::test]
async fn dedup_1_an_event_of_the_month_that_is_not_rolled_up_is_named() {
    let mut landing = healthy().await;
    let asked = request("acme", id("2026-09-01T00:00:00Z", 2), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, NOON, 7)]).await;
    assert_eq!(broken(&landing).await, ["DEDUP-1"]);
}

#[tokio::test]
async fn log_2_usage_without_a_request_is_named() {
    let mut landing = healthy().await;
    let asked = request("acme", id(NOON, 1), 320);
    landing.events(0, &[other_body(done(&asked, 0, NOON, 7), 9)]).await;
    assert_eq!(broken(&landing).await, ["LOG-2"]);
}

#[tokio::test]
async fn land_1_append_times_that_run_backwards_are_named() {
    let mut landing = healthy().await;
    let tick = |time: BrokerTime| [(time, contract::tick::record("accounts", 0, 0))];
    landing.land(Topic::Accounts, 0, &tick(at("2026-10-11T00:00:00Z"))).await;
    landing.land(Topic::Accounts, 0, &tick(at("2026-10-10T23:00:00Z"))).await;
    assert_eq!(broken(&landing).await, ["LAND-1"]);
}

#[tokio::test]
async fn bill_1_usage_that_nobody_is_billed_for_is_named() {
    let mut landing = healthy().await;
    let asked = request("stranger", id(NOON, 3), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, NOON, 7)]).await;
    assert_eq!(broken(&landing).await, ["BILL-1"]);
}

#[tokio::test]
async fn bill_2_and_bill_3_a_changed_bill_is_named() {
    let landing = healthy().await;
    let (mut draft, _) = drafted(&landing).await;
    let lake = landing.lake().await;
    draft.bills[0].total = rating::Amount::new(3, 2);
    let report = reconcile(&lake, &draft, Some(b"{}")).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| !check.holds).map(|check| check.invariant).collect();
    assert_eq!(broken, ["BILL-1", "BILL-2", "BILL-3"]);
}

fn decision(exception: Option<&str>) -> Decision {
    let exception = exception.map(str::to_owned);
    Decision { operator: "kim".to_owned(), exception, producer_times: false, at: at(CLOSED) }
}

#[tokio::test]
async fn a_month_becomes_final_once_it_is_closed_and_only_once() {
    let mut landing = healthy().await;
    let (draft, report) = drafted(&landing).await;
    let open = closing(&landing.lake().await, &draft);
    assert!(finalize::check(&draft, &report, &open, &decision(None)).is_err(), "{open:?}");
    let opened = finalize::check(&draft, &report, &open, &decision(Some("the broker is gone"))).unwrap();
    assert_eq!(opened.len(), 2, "{opened:?}");
    let early = Decision { at: month().end().plus_millis(-1), ..decision(Some("I can't wait")) };
    assert!(finalize::check(&draft, &report, &open, &early).is_err(), "the month is not over");

    landing.tick(CLOSED).await;
    let (draft, report) = drafted(&landing).await;
    let closed = closing(&landing.lake().await, &draft);
    assert_eq!(closed.open, [""; 0]);
    finalize::check(&draft, &report, &closed, &decision(None)).unwrap();

    let first = finalize::commit(&landing.store, &draft, &decision(None), &[]).await.unwrap();
    let Finalized::Now(run) = first else { panic!("{first:?}") };
    assert_eq!((run.seq, run.first_invoice_number, run.customers.len()), (1, 1, 1));
    let again = finalize::commit(&landing.store, &draft, &decision(Some("again")), &[]).await.unwrap();
    assert!(matches!(again, Finalized::Before(before) if before == run));
    assert_eq!(landing.store.list("bills/runs").await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_an_exception_opens_is_recorded_in_the_run() {
    let mut landing = healthy().await;
    landing.request(&request("acme", id(NOON, 2), 320), NOON).await;
    let (draft, report) = drafted(&landing).await;
    let decision = decision(Some("the broker is gone"));
    let open = closing(&landing.lake().await, &draft);
    let opened = finalize::check(&draft, &report, &open, &decision).unwrap();
    finalize::commit(&landing.store, &draft, &decision, &opened).await.unwrap();
    let runs = seals::read_runs(&landing.store).await.unwrap();
    let run = &runs[0].run;
    assert_eq!(run.exception.as_deref(), Some("the broker is gone"));
    assert!(run.opened[0].starts_with("LOG-1 is broken: 2 accepted = 1 answered"), "{:?}", run.opened);
    assert_eq!(run.opened, opened);
}

/// The run names what is stored: a table that another build encoded otherwise stands.
#[tokio::test]
async fn a_run_names_the_table_that_is_stored() {
    let landing = healthy().await;
    let (mut draft, _) = drafted(&landing).await;
    draft.bills_parquet = bytes::Bytes::from_static(b"another encoding");
    draft::write(&landing.store, &draft).await.unwrap();
    finalize::commit(&landing.store, &draft, &decision(None), &[]).await.unwrap();
    let run = &seals::read_runs(&landing.store).await.unwrap()[0].run;
    let (path, digest) = run.source(seals::manifest::RunFileKind::BillsTable);
    let stored = landing.store.get(&path).await.unwrap().unwrap();
    assert_eq!(digest, Some(contract::Digest::of(&stored)));
}

/// Two months drafted, one finalized, the other drafted again on top: that draft is the furthest, whatever its digest.
#[tokio::test]
async fn a_draft_on_top_of_the_last_run_is_further_than_one_below_it() {
    let landing = healthy().await;
    let (below, _) = drafted(&landing).await;
    let last = Some(contract::Digest::of(b"a run"));
    let inputs = draft::Inputs { previous_run_sha256: last, ..below.inputs.clone() };
    let inputs_json = seals::document::encode(&inputs).unwrap().into();
    let above = Draft { inputs, inputs_json, ..drafted(&landing).await.0 };
    draft::write(&landing.store, &above).await.unwrap();
    assert_eq!(draft::furthest(&landing.store, month(), last).await.unwrap(), Some(above.id()));
    assert_eq!(draft::furthest(&landing.store, month(), None).await.unwrap(), Some(below.id()));
}

#[tokio::test]
async fn a_partition_that_was_added_must_be_landed_too() {
    let mut landing = healthy().await;
    landing.tick(CLOSED).await;
    landing.land(Topic::Requests, 1, &[(at(NOON), contract::tick::record("resize.requests", 1, 0))]).await;
    let (draft, _) = drafted(&landing).await;
    let open = closing(&landing.lake().await, &draft).open;
    assert!(open[0].starts_with("resize.requests/1 is landed up to"), "{open:?}");
}

/// What is recomputed at a draft's own cut is what was drafted, whatever was landed since.
#[tokio::test]
async fn bill_3_a_draft_recomputes_at_its_cut() {
    let mut landing = healthy().await;
    let (draft, _) = drafted(&landing).await;
    let asked = request("acme", id(NOON, 2), 320);
    let offset = landing.request(&asked, NOON).await;
    landing.events(0, &[done(&asked, offset, NOON, 7)]).await;

    let inputs = draft::read_inputs(&landing.store, month(), &draft.id()).await.unwrap();
    let lake = landing.lake().await.at(&inputs.cut).unwrap();
    let prices = price_books::by_reference(&landing.store, inputs.price_book).await.unwrap();
    let again =
        draft::compute(&lake, &job(MONTH, Stored::Mistrust), &prices, None, &ProgressBar::hidden()).await.unwrap();
    assert_eq!(again.inputs, inputs);
    assert_eq!(again.bills_jsonl, draft.bills_jsonl);
    assert_eq!(again.bills_parquet, draft.bills_parquet);

    let (newer, _) = drafted(&landing).await;
    assert_ne!(newer.id(), draft.id());
    assert_eq!(draft::furthest(&landing.store, month(), None).await.unwrap(), Some(newer.id()));
}
