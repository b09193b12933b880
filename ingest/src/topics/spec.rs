//! What each topic should be, and how one that is there differs. No IO.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use contract::footer::Clock;
use contract::layout::Topic;
use log::Settings;
use serde::Serialize;

pub(crate) const CLEANUP: &str = "cleanup.policy";
pub(crate) const LARGEST: &str = "max.message.bytes";
pub(crate) const MIN_ISR: &str = "min.insync.replicas";
pub(crate) const TIMES: &str = "message.timestamp.type";
const COMPACTION_LAG: &str = "min.compaction.lag.ms";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const UNCLEAN: &str = "unclean.leader.election.enable";

/// What a dead letter's own headers may take beside the record that it carries.
const DEAD_LETTER_ROOM_BYTES: u32 = 64 << 10;

/// What the operator chose. A retention of -1 is for ever.
#[derive(Debug, Clone)]
pub(crate) struct Sizing {
    pub(crate) partitions: i32,
    pub(crate) replication: i32,
    pub(crate) min_isr: i32,
    pub(crate) max_record_bytes: u32,
    pub(crate) request_retention_ms: i64,
    pub(crate) usage_retention_ms: i64,
    pub(crate) dead_letter_retention_ms: i64,
    pub(crate) account_compaction_lag_ms: i64,
}

/// One topic as it should be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Wanted {
    #[serde(rename = "topic")]
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i32,
    pub(crate) settings: BTreeMap<String, String>,
}

/// One topic as it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) partitions: i32,
    /// Of the partition with the fewest copies.
    pub(crate) replication: i32,
    pub(crate) settings: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) setting: String,
    pub(crate) wanted: String,
    pub(crate) found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, not {}", self.setting, self.found, self.wanted)
    }
}

pub(crate) fn wanted(sizing: &Sizing, kafka: &Settings) -> Vec<Wanted> {
    let one = |topic| Wanted {
        name: kafka.topic(topic),
        partitions: sizing.partitions,
        replication: sizing.replication,
        settings: settings(topic, sizing, kafka.clock),
    };
    Topic::ALL.into_iter().map(one).collect()
}

fn settings(topic: Topic, sizing: &Sizing, clock: Clock) -> BTreeMap<String, String> {
    let retention_ms = match topic {
        Topic::Requests => Some(sizing.request_retention_ms),
        Topic::Usage => Some(sizing.usage_retention_ms),
        Topic::DeadLetters => Some(sizing.dead_letter_retention_ms),
        Topic::Accounts | Topic::Totals => None,
    };
    let times = match clock {
        Clock::Broker => "LogAppendTime",
        Clock::Producers => "CreateTime",
    };
    let room = if topic == Topic::DeadLetters { DEAD_LETTER_ROOM_BYTES } else { 0 };
    let mut settings = vec![
        (LARGEST, (sizing.max_record_bytes + room).to_string()),
        (MIN_ISR, sizing.min_isr.to_string()),
        (TIMES, times.to_owned()),
        // A leader that missed records would take them out of the log for good.
        (UNCLEAN, "false".to_owned()),
    ];
    match retention_ms {
        // By time only: a limit by size would drop records that nobody has answered.
        Some(ms) => settings.extend([
            (CLEANUP, "delete".to_owned()),
            (RETENTION, ms.to_string()),
            (RETENTION_BYTES, "-1".to_owned()),
        ]),
        None => settings.push((CLEANUP, "compact".to_owned())),
    }
    if topic == Topic::Accounts {
        settings.push((COMPACTION_LAG, sizing.account_compaction_lag_ms.to_string()));
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Wanted {
    /// Where `found` is not what is wanted; of its settings only those that are wanted count.
    pub(crate) fn differences(&self, found: &Found) -> Vec<Difference> {
        let counts =
            [("partitions", self.partitions, found.partitions), ("replication", self.replication, found.replication)];
        let counts = counts.map(|(name, wanted, found)| (name, wanted.to_string(), found.to_string()));
        let settings = self.settings.iter().map(|(name, wanted)| {
            let found = found.settings.get(name).map_or("not told by the broker", String::as_str);
            (name.as_str(), wanted.clone(), found.to_owned())
        });
        let all = counts.into_iter().chain(settings).filter(|(_, wanted, found)| wanted != found);
        all.map(|(setting, wanted, found)| Difference { setting: setting.to_owned(), wanted, found }).collect()
    }

    /// Whether records are dropped after some time.
    pub(crate) fn expires(&self) -> bool {
        self.settings.get(RETENTION).is_some_and(|ms| ms != "-1")
    }

    /// How long records are kept, for a person.
    pub(crate) fn kept(&self) -> String {
        match self.settings.get(RETENTION).and_then(|ms| ms.parse::<i64>().ok()) {
            None => "newest per key".to_owned(),
            Some(ms) => match u64::try_from(ms) {
                Ok(ms) => humantime::format_duration(Duration::from_millis(ms)).to_string(),
                Err(_) => "for ever".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use log::KafkaArgs;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn topics(producer_times: bool) -> Vec<Wanted> {
        let kafka = KafkaArgs {
            brokers: "nowhere:1".to_owned(),
            options: Vec::new(),
            producer_times,
            topic_prefix: "test-".to_owned(),
        };
        let sizing = Sizing {
            partitions: 6,
            replication: 3,
            min_isr: 2,
            max_record_bytes: 1 << 20,
            request_retention_ms: 7 * DAY_MS,
            usage_retention_ms: 30 * DAY_MS,
            dead_letter_retention_ms: -1,
            account_compaction_lag_ms: 7 * DAY_MS,
        };
        wanted(&sizing, &kafka.settings().unwrap())
    }

    fn check_settings(topic: &Wanted, name: &str, settings: &[(&str, &str)]) {
        let all = [("min.insync.replicas", "2"), ("unclean.leader.election.enable", "false")];
        let expected = all.iter().chain(settings).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!((topic.name.as_str(), &topic.settings), (name, &expected));
    }

    #[test]
    fn each_topic_has_the_settings_of_the_contract() {
        let topics = topics(false);
        let (times, largest) = (("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "1048576"));
        let delete = [("cleanup.policy", "delete"), ("retention.bytes", "-1"), times];
        let compact = [("cleanup.policy", "compact"), largest, times];
        let week = ("retention.ms", "604800000");
        check_settings(&topics[0], "test-resize.requests", &[&delete[..], &[week, largest]].concat());
        let month = ("retention.ms", "2592000000");
        check_settings(&topics[1], "test-usage.events", &[&delete[..], &[month, largest]].concat());
        let letters = [("retention.ms", "-1"), ("max.message.bytes", "1114112")];
        check_settings(&topics[2], "test-resize.dead-letters", &[&delete[..], &letters].concat());
        let lag = [("min.compaction.lag.ms", "604800000")];
        check_settings(&topics[3], "test-accounts", &[&compact[..], &lag].concat());
        check_settings(&topics[4], "test-usage.totals", &compact);
        let kept: Vec<_> = topics.iter().map(Wanted::kept).collect();
        assert_eq!(kept, ["7days", "30days", "for ever", "newest per key", "newest per key"]);
    }

    #[test]
    fn producers_times_are_taken_only_when_asked_for() {
        assert!(topics(true).iter().all(|t| t.settings[TIMES] == "CreateTime"));
    }

    #[test]
    fn every_difference_is_named_and_nothing_else() {
        let wanted = topics(false).remove(0);
        let mut found = Found { partitions: 6, replication: 3, settings: wanted.settings.clone() };
        found.settings.insert("segment.ms".to_owned(), "1000".to_owned());
        assert_eq!(wanted.differences(&found), []);

        found.replication = 1;
        found.settings.insert(TIMES.to_owned(), "CreateTime".to_owned());
        found.settings.remove(UNCLEAN);
        let named: Vec<_> = wanted.differences(&found).iter().map(ToString::to_string).collect();
        assert_eq!(
            named,
            [
                "replication is 1, not 3",
                "message.timestamp.type is CreateTime, not LogAppendTime",
                "unclean.leader.election.enable is not told by the broker, not false",
            ]
        );
    }
}
