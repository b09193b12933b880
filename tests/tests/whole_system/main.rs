//! The whole system, as its real binaries, against a real Kafka and a real S3 server.
//!
//! Run by `make test`, which starts the servers. Each test has topics under a prefix of its own and a store of its own;
//! what its processes logged stays in `target/debug/system-tests/TEST`.

mod attacks;
mod billing;
mod careful;
mod closing;
mod contention;
mod front_door;
mod garbage;
mod kills;
mod landing;
mod main_path;
mod mixture;
mod outage;
mod presets;
mod prices;
mod raw_kafka;
mod readers;
mod rollups;
mod storm;
mod two_months;
mod walls;
mod worker;

use std::time::Duration;

use contract::{BrokerTime, CustomerId};

/// How long a few hundred conversions may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn now() -> BrokerTime {
    service::clock::now()
}

fn customer(name: &str) -> anyhow::Result<CustomerId> {
    Ok(name.parse()?)
}
