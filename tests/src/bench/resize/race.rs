//! Rounds of everybody's turn at the same pictures, and what comes of them.

use anyhow::{Context as _, Result, ensure};

use super::peer::{Job, Peer};

/// Who stands where among those that race.
pub(super) const OURS: usize = 0;
pub(super) const SHARP: usize = 1;
pub(super) const PILLOW: usize = 2;

/// Of one case.
#[derive(Debug)]
pub(super) struct Race {
    pictures: usize,
    /// CPU-seconds of each peer, by round.
    rounds: Vec<[f64; 3]>,
    /// Mean output bytes of each.
    pub(super) bytes: [f64; 3],
}

/// A turn each to warm up, then the rounds; each begins with another, so that nobody always follows the same one.
pub(super) fn run(
    peers: &mut [&mut dyn Peer; 3],
    job: &Job,
    rounds: usize,
    mut after_turn: impl FnMut() -> Result<()>,
) -> Result<Race> {
    let mut race = Race { pictures: 0, rounds: Vec::new(), bytes: [0.0; 3] };
    for (peer, bytes) in peers.iter_mut().zip(&mut race.bytes) {
        let outputs = peer.convert(job)?.bytes;
        race.pictures = outputs.len();
        *bytes = outputs.iter().sum::<u64>() as f64 / outputs.len() as f64;
        after_turn()?;
    }
    for round in 0..rounds {
        let mut seconds = [0.0; 3];
        for turn in 0..peers.len() {
            let who = (round + turn) % peers.len();
            let pass = peers[who].convert(job)?;
            ensure!(pass.bytes.len() == race.pictures && pass.cpu_micros > 0, "{} left some out", peers[who].version());
            seconds[who] = pass.cpu_micros as f64 / 1e6;
            after_turn()?;
        }
        race.rounds.push(seconds);
    }
    Ok(race)
}

impl Race {
    /// Conversions per CPU-second.
    pub(super) fn speed(&self, who: usize) -> Result<f64> {
        Ok(self.pictures as f64 / median(self.rounds.iter().map(|seconds| seconds[who]))?)
    }

    /// Our speed ÷ another's: each round compares what ran within seconds of each other.
    pub(super) fn ratio(&self, other: usize) -> Result<f64> {
        median(self.rounds.iter().map(|seconds| seconds[other] / seconds[OURS]))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Result<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle).context("no rounds")?;
    Ok(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_counts() {
        let rounds = vec![[1.0, 3.0, 9.0], [4.0, 4.0, 4.0], [2.0, 4.0, 8.0]];
        let race = Race { pictures: 10, rounds, bytes: [0.0; 3] };
        assert_eq!(
            (race.speed(OURS).unwrap(), race.ratio(SHARP).unwrap(), race.ratio(PILLOW).unwrap()),
            (5.0, 2.0, 4.0)
        );
        assert!((median([1.0, 2.0, 4.0, 9.0].into_iter()).unwrap() - 3.0).abs() < 1e-12);
    }
}
