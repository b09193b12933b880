//! When a month can be closed: everything accepted in it is landed and answered.

use std::collections::BTreeSet;

use contract::BrokerTime;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::time::CLOSING_MARGIN_MS;
use serde::Serialize;

use crate::draft::Draft;
use crate::lake::Lake;

/// How far the log is landed, against a month's end.
#[derive(Debug, Serialize)]
pub(crate) struct Closing {
    /// Up to which broker time every partition of requests and accounts is landed; none while one is not landed at all.
    pub(crate) landed_up_to: Option<String>,
    /// What keeps the month from closing; empty when it can be closed.
    pub(crate) open: Vec<String>,
    /// The timestamps are producers': a development set-up, which proves nothing.
    pub(crate) producer_times: bool,
}

pub(crate) fn closing(lake: &Lake, draft: &Draft) -> Closing {
    let needed = draft.month().end().plus_millis(CLOSING_MARGIN_MS);
    let mut open = draft.account_gaps.clone();
    let mut watermarks: Vec<Option<BrokerTime>> = Vec::new();
    for topic in [Topic::Requests, Topic::Accounts] {
        // The newest footers know of partitions that were added.
        let heads = || lake.topic(topic).filter_map(segments::Chain::head);
        let count = heads().map(|head| head.footer.partition_count).max().unwrap_or(0);
        if count == 0 {
            open.push(format!("{} is not landed at all", topic.name()));
            watermarks.push(None);
        }
        let partitions: BTreeSet<i32> = (0..count).collect();
        for partition in partitions {
            let times = heads().filter(|head| head.footer.partition == partition).map(|h| h.footer.last_append_time);
            let watermark = times.max();
            watermarks.push(watermark);
            match watermark {
                Some(time) if time >= needed => {}
                Some(time) => open.push(format!("{}/{partition} is landed up to {time}, not {needed}", topic.name())),
                None => open.push(format!("{}/{partition} is not landed at all", topic.name())),
            }
        }
    }
    let landed_up_to = watermarks.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min());
    let by_producers = |chain: &segments::Chain| chain.segments.iter().any(|s| s.footer.clock == Clock::Producers);
    Closing {
        landed_up_to: landed_up_to.map(|time| time.to_string()),
        open,
        producer_times: lake.chains.values().any(by_producers),
    }
}
