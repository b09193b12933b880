//! Time: milliseconds since 1970 in UTC, and the half-open intervals made of them.
//!
//! | interval | from (in) | to (out) |
//! |---|---|---|
//! | hour `2026-10-31T23` | `2026-10-31T23:00:00.000Z` | `2026-11-01T00:00:00.000Z` |
//! | month `2026-10` | `2026-10-01T00:00:00.000Z` | `2026-11-01T00:00:00.000Z` |
//! | age of a request id | append time − `max_request_age` | append time + 10 min |
//!
//! The last row is closed at both ends: an id exactly 24 h old, or exactly 10 min ahead, is still taken.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::RequestId;

const HOUR_MS: i64 = 3_600_000;

/// What can be written with four digits, and has a month after it.
const YEARS: std::ops::Range<i32> = 1970..9999;

/// The end of those years.
const CALENDAR_END_MS: i64 = 253_370_764_800_000;

/// How far ahead of the broker's clock a producer's may run.
pub const MAX_CLOCK_AHEAD_MS: i64 = 10 * 60 * 1000;
/// The oldest id that is taken unless a deployment says otherwise.
pub const DEFAULT_MAX_REQUEST_AGE_MS: i64 = 24 * HOUR_MS;
/// How far past a month's end the log must have been landed before the month can close.
pub const CLOSING_MARGIN_MS: i64 = 10 * 60 * 1000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct BadTime {
    value: String,
    expected: &'static str,
}

/// A time by the broker's clock (a record's append time), or on its scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BrokerTime(i64);

impl BrokerTime {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    /// The hour that holds this time.
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(HOUR_MS))
    }
    /// Whether it lies in the years that can be written and read: 1970 to 9998.
    pub const fn is_in_the_calendar(self) -> bool {
        0 <= self.0 && self.0 < CALENDAR_END_MS
    }
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for BrokerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for BrokerTime {
    type Err = BadTime;
    /// Reads RFC 3339.
    fn from_str(s: &str) -> Result<Self, BadTime> {
        DateTime::parse_from_rfc3339(s)
            .map(|time| Self(time.timestamp_millis()))
            .map_err(|_| BadTime { value: s.to_owned(), expected: "a time such as 2026-10-31T23:59:00Z" })
    }
}

/// Whole hours since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    pub const fn start(self) -> BrokerTime {
        BrokerTime(self.0 * HOUR_MS)
    }
    pub const fn end(self) -> BrokerTime {
        BrokerTime((self.0 + 1) * HOUR_MS)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.start().0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H")),
            None => write!(f, "hour{}", self.0),
        }
    }
}

impl FromStr for Hour {
    type Err = BadTime;
    fn from_str(s: &str) -> Result<Self, BadTime> {
        let bad = || BadTime { value: s.to_owned(), expected: "an hour such as 2026-10-31T23" };
        let hour = format!("{s}:00:00Z").parse::<BrokerTime>().map_err(|_| bad())?.hour();
        if hour.to_string() == s { Ok(hour) } else { Err(bad()) }
    }
}

/// The unit of deduplication: all events that could be duplicates of one another share it.
///
/// An id carries the time of its minting, and every retry carries the same id, so duplicates can only be within the
/// id's own hour. Events rejected because that time is out of range are deduplicated per hour of `accepted_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IdHour {
    Minted(Hour),
    OutOfRange(Hour),
}

const OUT_OF_RANGE: &str = "out-of-range-";

impl IdHour {
    /// The hour in which `id` was minted.
    pub fn of(id: &RequestId) -> Self {
        Self::Minted(id.minted_at().hour())
    }

    /// Whether it can be written and read.
    pub const fn is_in_the_calendar(&self) -> bool {
        let (Self::Minted(hour) | Self::OutOfRange(hour)) = self;
        hour.start().is_in_the_calendar()
    }

    /// Whether conversions of this unit can have a billing time in `month`.
    ///
    /// `accepted_at` lies in `[minted − 10 min, minted + max_request_age]`.
    pub fn may_bill_in(&self, month: Month, max_request_age_ms: i64) -> bool {
        match self {
            Self::OutOfRange(hour) => hour.start() < month.end() && hour.end() > month.start(),
            Self::Minted(hour) => {
                hour.start().plus_millis(-MAX_CLOCK_AHEAD_MS) < month.end()
                    && hour.end().plus_millis(max_request_age_ms) > month.start()
            }
        }
    }
}

impl fmt::Display for IdHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minted(hour) => hour.fmt(f),
            Self::OutOfRange(hour) => write!(f, "{OUT_OF_RANGE}{hour}"),
        }
    }
}

impl FromStr for IdHour {
    type Err = BadTime;
    fn from_str(s: &str) -> Result<Self, BadTime> {
        match s.strip_prefix(OUT_OF_RANGE) {
            Some(hour) => hour.parse().map(Self::OutOfRange),
            None => s.parse().map(Self::Minted),
        }
    }
}
impl TryFrom<String> for IdHour {
    type Error = BadTime;
    fn try_from(s: String) -> Result<Self, BadTime> {
        s.parse()
    }
}
impl From<IdHour> for String {
    fn from(hour: IdHour) -> String {
        hour.to_string()
    }
}

/// Whether an id's time fits the append time of the record that carries it.
pub fn id_in_range(id: &RequestId, appended_at: BrokerTime, max_request_age_ms: i64) -> bool {
    let minted = id.minted_at();
    appended_at.plus_millis(-max_request_age_ms) <= minted && minted <= appended_at.plus_millis(MAX_CLOCK_AHEAD_MS)
}

/// A calendar month in UTC, half-open; written `2026-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    first_day: NaiveDate,
}

impl Month {
    /// The month that holds `time`; `None` outside the years 1970 to 9998.
    pub fn of(time: BrokerTime) -> Option<Self> {
        let day = DateTime::from_timestamp_millis(time.0)?.date_naive();
        let first_day = day.with_day(1)?;
        YEARS.contains(&first_day.year()).then_some(Self { first_day })
    }
    pub fn start(&self) -> BrokerTime {
        BrokerTime(self.first_day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
    }
    pub fn end(&self) -> BrokerTime {
        self.next().start()
    }
    pub fn contains(&self, time: BrokerTime) -> bool {
        self.start() <= time && time < self.end()
    }
    #[must_use]
    pub fn next(&self) -> Self {
        Self { first_day: self.first_day + chrono::Months::new(1) }
    }
    #[must_use]
    pub fn previous(&self) -> Self {
        Self { first_day: self.first_day - chrono::Months::new(1) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first_day.year(), self.first_day.month())
    }
}

impl FromStr for Month {
    type Err = BadTime;
    fn from_str(s: &str) -> Result<Self, BadTime> {
        let bad = || BadTime { value: s.to_owned(), expected: "a month from 1970-01 to 9998-12, such as 2026-10" };
        let first_day = NaiveDate::parse_from_str(&format!("{s}-01"), "%Y-%m-%d").map_err(|_| bad())?;
        let month = Self { first_day };
        if YEARS.contains(&first_day.year()) && month.to_string() == s { Ok(month) } else { Err(bad()) }
    }
}
impl TryFrom<String> for Month {
    type Error = BadTime;
    fn try_from(s: String) -> Result<Self, BadTime> {
        s.parse()
    }
}
impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(s: &str) -> BrokerTime {
        s.parse().unwrap()
    }

    fn id_minted(time: BrokerTime) -> RequestId {
        RequestId::from_parts(time, [7; 10])
    }

    #[test]
    fn a_month_holds_its_first_millisecond_and_not_the_next_months() {
        let october: Month = "2026-10".parse().unwrap();
        assert!(october.contains(at("2026-10-01T00:00:00.000Z")));
        assert!(october.contains(at("2026-10-31T23:59:59.999Z")));
        assert!(!october.contains(at("2026-09-30T23:59:59.999Z")));
        assert!(!october.contains(at("2026-11-01T00:00:00.000Z")));
        assert_eq!(at("2028-02-29T12:00:00+02:00").to_string(), "2028-02-29T10:00:00.000Z");
        for bad in ["2026-13", "2026-1", "26-01", "2026-10-01", "1969-12", "9999-01", "", "-001-01"] {
            assert!(bad.parse::<Month>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_calendar_is_the_months() {
        for millis in [i64::MIN, -1, 0, 1, CALENDAR_END_MS - 1, CALENDAR_END_MS, i64::MAX] {
            let time = BrokerTime(millis);
            assert_eq!(time.is_in_the_calendar(), Month::of(time).is_some(), "{millis}");
        }
    }

    #[test]
    fn the_age_limit_is_closed_at_both_ends() {
        let appended = at("2026-11-01T00:00:00Z");
        let day = DEFAULT_MAX_REQUEST_AGE_MS;
        let check = |minted: BrokerTime, fits| {
            assert_eq!(id_in_range(&id_minted(minted), appended, day), fits, "minted at {minted}");
        };
        check(appended, true);
        check(appended.plus_millis(-day), true);
        check(appended.plus_millis(-day - 1), false);
        check(appended.plus_millis(MAX_CLOCK_AHEAD_MS), true);
        check(appended.plus_millis(MAX_CLOCK_AHEAD_MS + 1), false);
    }

    proptest! {
        #[test]
        fn months_tile_time(millis in 0_i64..4_102_444_800_000) {
            let time = BrokerTime::from_millis(millis);
            let month = Month::of(time).unwrap();
            prop_assert!(month.contains(time));
            prop_assert!(!month.next().contains(time) && !month.previous().contains(time));
            prop_assert_eq!(month.next().previous(), month);
            prop_assert_eq!(month.to_string().parse::<Month>().unwrap(), month);
        }

        #[test]
        fn hours_tile_time_and_read_back(millis in 0_i64..4_102_444_800_000) {
            let time = BrokerTime::from_millis(millis);
            let hour = time.hour();
            prop_assert!(hour.start() <= time && time < hour.end());
            for unit in [IdHour::Minted(hour), IdHour::OutOfRange(hour)] {
                prop_assert_eq!(unit.to_string().parse::<IdHour>().unwrap(), unit);
            }
            prop_assert_eq!(time.to_string().parse::<BrokerTime>().unwrap(), time);
        }

        /// No event that is accepted in a month is left out of the units rolled up for it.
        #[test]
        fn every_unit_that_can_bill_in_a_month_is_looked_at(
            accepted in 1_700_000_000_000_i64..1_800_000_000_000,
            back in -MAX_CLOCK_AHEAD_MS..=DEFAULT_MAX_REQUEST_AGE_MS,
        ) {
            let accepted = BrokerTime::from_millis(accepted);
            let id = id_minted(accepted.plus_millis(-back));
            prop_assert!(id_in_range(&id, accepted, DEFAULT_MAX_REQUEST_AGE_MS));
            let month = Month::of(accepted).unwrap();
            prop_assert!(IdHour::of(&id).may_bill_in(month, DEFAULT_MAX_REQUEST_AGE_MS));
            prop_assert!(IdHour::OutOfRange(accepted.hour()).may_bill_in(month, DEFAULT_MAX_REQUEST_AGE_MS));
        }
    }
}
