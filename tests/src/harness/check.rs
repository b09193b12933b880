//! The lake held against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use contract::layout::{self, Topic};
use contract::usage::{Reason, RequestPosition};
use store::Store;

use super::{Expected, Landed, Ledger, UsageRow, photo};

/// How much of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Request records, undecodable ones and retries among them.
    pub requests: usize,
    pub done: usize,
    pub rejected: usize,
    /// Usage events beyond one per conversion.
    pub duplicates: usize,
    /// Requests that could not be read.
    pub undecodable: usize,
}

type Answers<'a> = BTreeMap<RequestPosition, Vec<&'a UsageRow>>;

fn answers(landed: &Landed) -> Answers<'_> {
    let mut answers = Answers::new();
    for (_, answer) in landed.answers() {
        answers.entry(answer.request).or_default().push(answer);
    }
    answers
}

/// The dead letters of the requests, with their reasons.
fn letters(landed: &Landed) -> BTreeMap<RequestPosition, BTreeSet<&str>> {
    let mut letters: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for letter in landed.letters_of(Topic::Requests) {
        let at = RequestPosition { partition: letter.partition, offset: letter.offset };
        letters.entry(at).or_default().insert(&letter.reason);
    }
    letters
}

impl Ledger {
    /// The requests that are not yet landed, or whose answer is not.
    pub fn open(&self, landed: &Landed) -> Vec<RequestPosition> {
        let (answers, letters) = (answers(landed), letters(landed));
        let requests: BTreeSet<_> = landed.requests.iter().map(|row| (row.at.partition, row.at.offset)).collect();
        let closed = |at: &RequestPosition| {
            requests.contains(&(at.partition, at.offset)) && (answers.contains_key(at) || letters.contains_key(at))
        };
        self.requests.iter().map(|sent| sent.at).filter(|at| !closed(at)).collect()
    }

    /// Holds the landed requests, answers and dead letters against what was published: nothing lost, nothing that
    /// nobody asked for, each ended as it should. For a log of one epoch whose requests are all closed.
    pub fn check(&self, landed: &Landed) -> Result<Counts> {
        check_chains(landed)?;
        self.check_requests(landed)?;
        self.check_answers(landed)?;
        self.check_conversions(landed)
    }

    /// Every request record that was published is landed once, and no other.
    fn check_requests(&self, landed: &Landed) -> Result<()> {
        let rows: BTreeMap<_, _> =
            landed.requests.iter().map(|row| ((row.at.partition, row.at.offset), &row.value)).collect();
        ensure!(rows.len() == landed.requests.len(), "a request is landed twice");
        let published: BTreeSet<_> = self.requests.iter().map(|sent| (sent.at.partition, sent.at.offset)).collect();
        let strangers: Vec<_> = rows.keys().filter(|at| !published.contains(at)).collect();
        ensure!(strangers.is_empty(), "landed requests that were never published: {strangers:?}");
        for sent in &self.requests {
            let value = rows.get(&(sent.at.partition, sent.at.offset));
            let value = value.with_context(|| format!("{sent:?} is not landed"))?;
            let as_sent = match (&sent.expected, value) {
                (Expected::DeadLetter(code), Err(reason)) => code == reason,
                (Expected::DeadLetter(_), Ok(_)) | (_, Err(_)) => false,
                (_, Ok(row)) => sent.conversion.as_ref() == Some(&row.conversion),
            };
            ensure!(as_sent, "{sent:?} is landed as {value:?}");
        }
        Ok(())
    }

    /// Every request is answered, as it should be, however often; nothing else is.
    ///
    /// A request without its source may be read again after the source has come, and then has both answers.
    fn check_answers(&self, landed: &Landed) -> Result<()> {
        let fates = self.conversions();
        let (mut answers, mut letters) = (answers(landed), letters(landed));
        let appended: BTreeMap<_, _> =
            landed.requests.iter().map(|row| ((row.at.partition, row.at.offset), row.appended_at)).collect();
        for sent in &self.requests {
            let answers = answers.remove(&sent.at).unwrap_or_default();
            let letters = letters.remove(&sent.at).unwrap_or_default();
            if let Expected::DeadLetter(code) = sent.expected {
                let fits = answers.is_empty() && letters == BTreeSet::from([code]);
                ensure!(fits, "{sent:?} has answers {answers:?} and dead letters {letters:?}");
                continue;
            }
            ensure!(letters.is_empty(), "{sent:?} has dead letters {letters:?}");
            ensure!(!answers.is_empty(), "{sent:?} has no answer");
            for answer in answers {
                ensure!(sent.conversion.as_ref() == Some(&answer.conversion), "{sent:?} got the answer {answer:?}");
                let came_since = sent.expected == Expected::Rejected(Reason::SourceMissing)
                    && fates.get(&answer.conversion).is_some_and(|fate| fate.outcome.is_ok())
                    && answer.rejected.is_none();
                ensure!(
                    came_since || answers_as_expected(&sent.expected, answer),
                    "{sent:?} got the answer {answer:?}"
                );
                let accepted = appended.get(&(sent.at.partition, sent.at.offset));
                ensure!(accepted == Some(&answer.accepted_at), "{answer:?} was accepted at {accepted:?}");
                ensure!(sent.time.is_none_or(|time| time == answer.accepted_at), "{sent:?} has {answer:?}");
            }
        }
        ensure!(answers.is_empty(), "answers to what nobody asked: {answers:?}");
        ensure!(letters.is_empty(), "dead letters of what nobody sent: {letters:?}");
        Ok(())
    }

    /// Each conversion has its outcome and its quantities.
    fn check_conversions(&self, landed: &Landed) -> Result<Counts> {
        let mut counts = Counts { requests: self.requests.len(), ..Counts::default() };
        counts.undecodable = self.requests.iter().filter(|sent| sent.conversion.is_none()).count();
        let mut events: BTreeMap<_, Vec<&UsageRow>> = BTreeMap::new();
        for (_, answer) in landed.answers() {
            events.entry(&answer.conversion).or_default().push(answer);
        }
        for (conversion, fate) in &self.conversions() {
            let events = events.remove(conversion).with_context(|| format!("{conversion:?} has no event"))?;
            counts.duplicates += events.len() - 1;
            let done = events.iter().find(|event| event.rejected.is_none());
            ensure!(done.is_some() == fate.outcome.is_ok(), "{conversion:?} should be {fate:?}, and has {events:?}");
            let (Some(done), Ok(output)) = (done, &fate.outcome) else {
                counts.rejected += 1;
                continue;
            };
            counts.done += 1;
            let pixels = |(width, height): photo::Sides| i64::from(width) * i64::from(height);
            let measured = (done.input_bytes, done.input_pixels, done.output_pixels);
            let expected = (i64::try_from(fate.input_bytes)?, pixels(fate.input), pixels(*output));
            ensure!(measured == expected, "{conversion:?}: measured {measured:?}, should be {expected:?}");
        }
        Ok(counts)
    }
}

fn answers_as_expected(expected: &Expected, answer: &UsageRow) -> bool {
    match expected {
        Expected::Done { .. } => answer.rejected.is_none(),
        Expected::Rejected(reason) => {
            answer.rejected.as_ref().is_some_and(|found| serde_json::to_value(reason).is_ok_and(|name| name == **found))
        }
        Expected::DeadLetter(_) => false,
    }
}

/// The images of all done conversions are in the store, as large as they should be.
pub async fn check_results(store: &Store, ledger: &Ledger) -> Result<()> {
    for (conversion, fate) in ledger.conversions() {
        let path = layout::result(&conversion);
        let image = store.get(&path).await?;
        let Ok(output) = fate.outcome else {
            ensure!(image.is_none(), "{path} is there, though the work was rejected");
            continue;
        };
        let image = image.with_context(|| format!("{path} is missing"))?;
        let sides = photo::sides_of(&image).with_context(|| path.clone())?;
        ensure!(sides == output, "{path} has {sides:?} pixels, should have {output:?}");
    }
    Ok(())
}

/// LAND-1 by a plain loop, and no record landed twice. (Reading has checked that each segment names the sha256 of the
/// one before.)
pub fn check_chains(landed: &Landed) -> Result<()> {
    for chain in &landed.chains {
        let name = format!("{} epoch {} partition {}", chain.topic.name(), chain.epoch, chain.partition);
        let (mut next, mut previous) = (0, None);
        for segment in &chain.segments {
            let footer = &segment.footer;
            ensure!(footer.start == next, "{name}: a segment starts at {}, not at {next}", footer.start);
            ensure!(footer.previous_sha256 == previous, "{name}: {} has another predecessor", segment.path);
            ensure!(footer.records == footer.rows + footer.ticks, "{name}: {} does not add up", segment.path);
            (next, previous) = (footer.next_offset, Some(segment.sha256));
        }
    }
    let mut seen = BTreeSet::new();
    let places = [
        (Topic::Requests, landed.requests.iter().map(|row| row.at).collect::<Vec<_>>()),
        (Topic::Usage, landed.usage.iter().map(|row| row.at).collect()),
        (Topic::DeadLetters, landed.dead_letters.iter().map(|row| row.at).collect()),
        (Topic::Accounts, landed.accounts.iter().map(|row| row.at).collect()),
    ];
    for (topic, places) in places {
        for at in places {
            ensure!(seen.insert((topic, at)), "{} holds {at:?} twice", topic.name());
        }
    }
    Ok(())
}
