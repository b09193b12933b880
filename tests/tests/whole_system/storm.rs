//! Members that join and leave all the time.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result};
use contract::footer::Clock;
use service::output::line;
use system_tests::harness::{Process, System, Topics, check_results};

use crate::{PATIENCE, mixture};

/// A member joins or leaves at each turn.
const TURNS: usize = 60;
const TURN: Duration = Duration::from_millis(500);
const REQUESTS_PER_TURN: usize = 15;

/// Every second one that leaves is killed.
#[tokio::test]
async fn a_rebalance_storm_loses_nothing() -> Result<()> {
    let system = System::in_files(Topics::kafka(6, Clock::Broker).await?, "storm")?;
    let mut publisher = system.publisher()?;
    let _aggregator = system.aggregator()?.spawn()?;
    let mut members: VecDeque<Process> = VecDeque::from([system.worker()?.spawn()?, system.worker()?.spawn()?]);
    for turn in 0..TURNS {
        let work = mixture::tiny_requests(&mut publisher, REQUESTS_PER_TURN).await?;
        publisher.publish(work).await?;
        match (turn % 4, members.pop_front()) {
            (1, Some(first)) => first.stop(Duration::from_secs(20)).await?,
            (3, Some(first)) => first.kill()?,
            (_, first) => {
                members.extend(first);
                members.push_back(system.worker()?.spawn()?);
            }
        }
        tokio::time::sleep(TURN).await;
    }
    let landed = system.answered(&publisher.ledger, PATIENCE).await;
    let landed = landed.with_context(|| members.iter().map(Process::log_tail).collect::<String>())?;
    let counts = publisher.ledger.check(&landed)?;
    line(format!("storm: {counts:?}"));
    assert_eq!((counts.done, counts.rejected), (TURNS * REQUESTS_PER_TURN, 0), "{counts:?}");
    check_results(&system.store, &publisher.ledger).await?;
    for member in &mut members {
        assert!(member.is_alive()?, "{}", member.log_tail());
    }
    Ok(())
}
