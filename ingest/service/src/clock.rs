//! The one place that reads the clock. What is stored takes its times from the log or from an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use contract::BrokerTime;

/// This machine's time; before 1970 it is 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> BrokerTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    BrokerTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
