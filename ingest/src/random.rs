//! The one place that draws random bytes: for ids of work and for API keys.

use anyhow::anyhow;

pub(crate) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| anyhow!("the system gives no random bytes: {why}"))?;
    Ok(bytes)
}
