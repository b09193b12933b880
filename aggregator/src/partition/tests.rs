//! What a partition does with what it is told, without a broker.

use contract::layout::Topic;

use super::*;

const AT: Partition = Partition { topic: Topic::Accounts, partition: 2 };

fn tick(n: i64) -> Record {
    contract::tick::record("accounts", 2, n)
}

fn time(offset: i64) -> BrokerTime {
    BrokerTime::from_millis(1_793_491_200_000 + offset)
}

fn fresh() -> State {
    State::new(AT, None, Instant::now()).unwrap()
}

fn take(state: &mut State, offset: i64, record: &Record) -> Result<(), Stop> {
    state.take(offset, time(offset), &record.view(), Instant::now())
}

/// Ticks at these offsets, landed.
fn landed(offsets: &[i64]) -> Segment {
    let mut state = fresh();
    for offset in offsets {
        take(&mut state, *offset, &tick(*offset)).unwrap();
    }
    state.landed(state.build(3, Clock::Broker).unwrap()).unwrap();
    state.head.unwrap()
}

/// A later owner of a partition whose head holds offsets 0 to 4.
fn later_owner() -> State {
    State::new(AT, Some(landed(&[0, 1, 4])), Instant::now()).unwrap()
}

#[test]
fn land_1_a_later_owner_goes_on_after_the_last_landed_record() {
    let mut state = later_owner();
    assert_eq!(state.start(), 4, "it first reads the last landed record again");
    take(&mut state, 4, &tick(4)).unwrap();
    assert!(!state.has_pending(), "which is not landed again");
    take(&mut state, 6, &tick(6)).unwrap();
    let built = state.build(3, Clock::Broker).unwrap();
    assert_eq!((built.footer.start, built.footer.first, built.footer.next_offset), (5, 6, 7));
    assert_eq!(built.footer.previous_sha256, Some(state.head.as_ref().unwrap().sha256));
}

/// Attack 5: a topic deleted, re-created and grown past the old head.
#[test]
fn land_1_another_record_where_the_last_landed_one_was_is_a_hole() {
    let mut state = later_owner();
    assert_eq!(take(&mut state, 4, &tick(400)), Err(Stop::OtherRecord { offset: 4 }));

    let mut state = later_owner();
    let later = state.take(4, time(5), &tick(4).view(), Instant::now());
    assert_eq!(later, Err(Stop::OtherRecord { offset: 4 }), "its append time tells it, too");

    let mut state = later_owner();
    assert_eq!(take(&mut state, 9, &tick(9)), Err(Stop::Gone { from: 4, to: 9 }));
}

#[test]
fn land_1_a_log_that_does_not_hold_what_comes_next_is_a_hole() {
    assert_eq!(fresh().probe(0, 0), Ok(()));
    assert_eq!(fresh().probe(0, 100), Ok(()));
    assert_eq!(fresh().probe(1, 100), Err(Stop::Gone { from: 0, to: 1 }), "epoch 0 starts at offset 0");
    assert_eq!(later_owner().probe(0, 5), Ok(()));
    assert_eq!(later_owner().probe(4, 5), Ok(()));
    assert_eq!(later_owner().probe(5, 9), Err(Stop::Gone { from: 4, to: 5 }));
    assert_eq!(later_owner().probe(0, 4), Err(Stop::Truncated { landed: 4, high: 4 }));

    let mut running = later_owner();
    take(&mut running, 4, &tick(4)).unwrap();
    assert_eq!(running.probe(5, 5), Ok(()), "what is landed may expire");
    assert_eq!(running.probe(6, 9), Err(Stop::Gone { from: 5, to: 6 }));
    assert_eq!(running.probe(0, 4), Err(Stop::Truncated { landed: 4, high: 4 }));
}

/// Attack 5 against a running aggregator: what is pending hangs on a record that the log must still hold.
#[test]
fn land_1_what_was_read_hangs_on_a_record_that_is_still_there() {
    let digest = |offset: i64| tick(offset).view().digest(time(offset));
    let record = |offset, digest| Found::Record { offset, digest };
    let mut later = later_owner();
    take(&mut later, 4, &tick(4)).unwrap();
    take(&mut later, 5, &tick(5)).unwrap();
    assert_eq!(later.anchor(), Some((4, digest(4))), "the last landed record");
    assert_eq!(later.confirm(record(4, digest(4))), Ok(()));
    assert_eq!(later.confirm(record(4, digest(5))), Err(Stop::OtherRecord { offset: 4 }));
    assert_eq!(later.confirm(record(5, digest(5))), Err(Stop::Gone { from: 4, to: 5 }));
    assert_eq!(later.confirm(Found::Outside { low: 9, high: 12 }), Err(Stop::Gone { from: 4, to: 9 }));
    assert_eq!(later.confirm(Found::Outside { low: 0, high: 4 }), Err(Stop::Truncated { landed: 4, high: 4 }));

    let mut first = fresh();
    assert_eq!(first.anchor(), None);
    take(&mut first, 0, &tick(0)).unwrap();
    take(&mut first, 1, &tick(1)).unwrap();
    assert_eq!(first.anchor(), Some((0, digest(0))), "where a chain begins, its first record");
    assert_eq!(first.confirm(record(0, digest(1))), Err(Stop::OtherRecord { offset: 0 }));
    first.landed(first.build(3, Clock::Broker).unwrap()).unwrap();
    assert_eq!(first.anchor(), Some((1, digest(1))));
}

#[test]
fn who_loses_the_race_goes_on_from_the_winners_segment_and_stops_at_the_third() {
    let mut state = fresh();
    take(&mut state, 0, &tick(0)).unwrap();
    state.lost(Some(landed(&[0, 1, 4]))).unwrap();
    assert_eq!((state.start(), state.has_pending()), (4, false));
    state.lost(Some(landed(&[0, 1, 4]))).unwrap();
    assert_eq!(state.lost(Some(landed(&[0, 1, 4]))), Err(Stop::Contended));
}

#[test]
fn a_segment_landed_in_between_starts_the_count_of_losses_again() {
    let mut state = fresh();
    for _ in 0..4 {
        state.lost(Some(landed(&[0]))).unwrap();
        take(&mut state, 0, &tick(0)).unwrap();
        take(&mut state, 1, &tick(1)).unwrap();
        state.landed(state.build(3, Clock::Broker).unwrap()).unwrap();
    }
}

#[test]
fn an_undecodable_record_goes_to_the_dead_letters_once_and_only_from_topics_without_a_worker() {
    let junk = Record { key: None, headers: Vec::new(), payload: None };
    let letters = |topic| {
        let mut state = State::new(Partition { topic, partition: 0 }, None, Instant::now()).unwrap();
        take(&mut state, 0, &junk).unwrap();
        let letters = state.letters().len();
        let built = state.build(1, Clock::Broker).unwrap();
        assert_eq!(built.footer.quarantined, 1);
        state.landed(built).unwrap();
        assert!(state.letters().is_empty());
        letters
    };
    assert_eq!(Topic::LANDED.map(letters), [0, 1, 0, 1]);
}

#[test]
fn only_a_quiet_partition_that_is_known_to_be_ours_is_ticked() {
    let now = Instant::now();
    let mut state = later_owner();
    assert_eq!(state.idle_since(now), None, "not probed");
    state.probe(0, 5).unwrap();
    assert_eq!(state.idle_since(now), None, "its last record not yet found again");
    take(&mut state, 4, &tick(4)).unwrap();
    assert!(state.idle_since(Instant::now()).is_some());
    take(&mut state, 5, &tick(5)).unwrap();
    assert_eq!(state.idle_since(Instant::now()), None, "a record is pending");
}
