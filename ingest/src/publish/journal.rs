//! The journal of a run: JSON lines, on disk before anything is sent.
//!
//! ```text
//!   {"journal":"pixtoll.publish.v1","customer_id":"acme","requests":2,"answers_from":[17,4]}
//!   {"request_id":"019a…","work":{"file":"cat.jpg","sha256":"…","resize":{"width":320,"fit":"inside"}}}
//!   {"request_id":"019a…","work":{…}}
//!   {"acked":"019a…"}
//! ```
//!
//! The head says how many requests follow. Fewer mean a death before anything was sent; a torn last line, one while it
//! was being noted that a request is on the log: that one is sent once more, by the same id.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use contract::{CustomerId, RequestId};
use serde::{Deserialize, Serialize};
use service::BadUsage;

use super::plan::Work;

const VERSION: &str = "pixtoll.publish.v1";

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    journal: String,
    customer_id: CustomerId,
    requests: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers_from: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Planned(Box<Planned>),
    Acked { acked: RequestId },
    Resent { answers_from: Vec<i64> },
}

/// Work with the id under which it is done, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned {
    pub(crate) request_id: RequestId,
    pub(crate) work: Work,
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    customer_id: CustomerId,
    pub(crate) planned: Vec<Planned>,
    pub(crate) acked: BTreeSet<RequestId>,
    /// Where each partition of the answers ended before the first request was sent; empty if nobody looked.
    pub(crate) answers_from: Vec<i64>,
}

impl Journal {
    /// Writes a new one, durably.
    pub(crate) fn create(
        path: &Path,
        customer_id: CustomerId,
        planned: Vec<Planned>,
        answers_from: Vec<i64>,
    ) -> anyhow::Result<Self> {
        let shown = path.display();
        let head = Head {
            journal: VERSION.to_owned(),
            customer_id: customer_id.clone(),
            requests: planned.len(),
            answers_from: answers_from.clone(),
        };
        let mut text = line(&head)?;
        for one in &planned {
            text.push_str(&line(one)?);
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let mut file = file.with_context(|| format!("cannot make the journal {shown}"))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.with_context(|| format!("cannot write the journal {shown}"))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).with_context(|| format!("cannot sync {}", folder.display()))?;
        Ok(Self { path: path.to_owned(), file, customer_id, planned, acked: BTreeSet::new(), answers_from })
    }

    /// Opens one that is there, to go on with.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the journal {shown}"))?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let mut lines = text[..whole].lines();
        let head = lines.next().and_then(|line| serde_json::from_str::<Head>(line).ok());
        let Some(head) = head.filter(|head| head.journal == VERSION) else {
            return Err(BadUsage(format!("--journal {shown}: not a journal of this program; name another file")).into());
        };
        let (mut planned, mut acked, mut answers_from) = (Vec::new(), BTreeSet::new(), head.answers_from);
        for (number, text) in (2..).zip(lines) {
            match serde_json::from_str(text).with_context(|| format!("line {number} of the journal {shown}"))? {
                Line::Planned(one) => planned.push(*one),
                Line::Acked { acked: id } => drop(acked.insert(id)),
                Line::Resent { answers_from: from } => answers_from = from,
            }
        }
        if planned.len() != head.requests {
            bail!(
                "the journal {shown} holds {} of {} requests: its run died while writing it and sent nothing; delete it",
                planned.len(),
                head.requests
            );
        }
        let file = OpenOptions::new().append(true).open(path).with_context(|| format!("cannot write to {shown}"))?;
        file.set_len(whole as u64).with_context(|| format!("cannot mend the end of {shown}"))?;
        Ok(Self { path: path.to_owned(), file, customer_id: head.customer_id, planned, acked, answers_from })
    }

    /// Whether this run asks for what the journal's run asked for.
    pub(crate) fn check<'a>(
        &self,
        customer_id: &CustomerId,
        works: impl ExactSizeIterator<Item = &'a Work>,
    ) -> Result<(), BadUsage> {
        let differs = |how: String| {
            let shown = self.path.display();
            Err(BadUsage(format!(
                "--journal {shown} is of another run: {how}; repeat that run's files and flags, or name a new journal"
            )))
        };
        if self.customer_id != *customer_id {
            return differs(format!("customer {}, not {customer_id}", self.customer_id));
        }
        if self.planned.len() != works.len() {
            return differs(format!("{} requests, not {}", self.planned.len(), works.len()));
        }
        for (number, (planned, work)) in (1..).zip(self.planned.iter().zip(works)) {
            if planned.work != *work {
                let before = &planned.work;
                return differs(if before.file != work.file {
                    format!("its request {number} is for {}, not {}", before.file, work.file)
                } else if before.sha256 != work.sha256 {
                    format!("{} has changed since", work.file)
                } else {
                    format!("its request {number}, for {}, has other sizes, formats or quality", work.file)
                });
            }
        }
        Ok(())
    }

    /// Notes that a request is on the log.
    pub(crate) fn ack(&mut self, id: RequestId) -> anyhow::Result<()> {
        if self.acked.insert(id) {
            self.append(&Line::Acked { acked: id })?;
        }
        Ok(())
    }

    /// All is about to be sent again: only answers from here on count.
    pub(crate) fn resend(&mut self, answers_from: Vec<i64>) -> anyhow::Result<()> {
        self.append(&Line::Resent { answers_from: answers_from.clone() })?;
        self.answers_from = answers_from;
        Ok(())
    }

    fn append(&mut self, one: &Line) -> anyhow::Result<()> {
        let written = self.file.write_all(line(one)?.as_bytes());
        written.with_context(|| format!("cannot write to the journal {}", self.path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use contract::resize::Resize;
    use contract::{BrokerTime, Digest};

    use super::*;

    fn planned(n: u8) -> Planned {
        let resize = Resize { width: Some(320), ..Resize::default() };
        let work = Work { file: format!("{n}.jpg"), sha256: Digest::of(&[n]), resize };
        Planned { request_id: RequestId::from_parts(BrokerTime::from_millis(1_793_000_000_000), [n; 10]), work }
    }

    fn acme() -> CustomerId {
        "acme".parse().unwrap()
    }

    /// A journal of three requests, the first acknowledged, and its folder.
    fn journal() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let mut journal = Journal::create(&path, acme(), [1, 2, 3].map(planned).to_vec(), vec![17, 4]).unwrap();
        journal.ack(planned(1).request_id).unwrap();
        (folder, path)
    }

    fn check_error(path: &Path, complaint: &str) {
        let error = format!("{:#}", Journal::open(path).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    }

    #[test]
    fn a_journal_gives_back_its_ids_and_what_was_acknowledged() {
        let (_folder, path) = journal();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.planned, [1, 2, 3].map(planned));
        assert_eq!(journal.acked, BTreeSet::from([planned(1).request_id]));
        assert_eq!(journal.answers_from, [17, 4]);
        journal.resend(vec![20, 9]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().answers_from, [20, 9]);
        let again = Journal::create(&path, acme(), Vec::new(), Vec::new()).unwrap_err();
        assert!(again.to_string().contains("run.jsonl"), "{again}");
    }

    #[test]
    fn only_the_same_run_goes_on() {
        let (_folder, path) = journal();
        let journal = Journal::open(&path).unwrap();
        let works = || [1, 2, 3].map(|n| planned(n).work);
        journal.check(&acme(), works().iter()).unwrap();

        let check = |customer: &str, works: &[Work], complaint: &str| {
            let error = journal.check(&customer.parse().unwrap(), works.iter()).unwrap_err().to_string();
            assert!(error.contains("run.jsonl is of another run") && error.contains(complaint), "{error}");
        };
        check("other", &works(), "customer acme, not other");
        check("acme", &works()[..2], "3 requests, not 2");
        let [mut file, mut content, mut size] = [works(), works(), works()];
        file[1].file = "new.jpg".to_owned();
        check("acme", &file, "its request 2 is for 2.jpg, not new.jpg");
        content[2].sha256 = Digest::of(b"other");
        check("acme", &content, "3.jpg has changed since");
        size[0].resize.width = Some(64);
        check("acme", &size, "its request 1, for 1.jpg, has other sizes");
    }

    #[test]
    fn a_death_at_any_byte_is_survived_or_named() {
        let (_folder, path) = journal();
        let whole = fs::read(&path).unwrap();
        let plan_end = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(3).unwrap().0;
        let head_end = whole.iter().position(|b| *b == b'\n').unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            if length <= head_end {
                check_error(&path, "not a journal of this program");
            } else if length <= plan_end {
                check_error(&path, "sent nothing; delete it");
            } else {
                let mut journal = Journal::open(&path).unwrap();
                assert!(journal.acked.is_empty());
                journal.ack(planned(2).request_id).unwrap();
                assert_eq!(Journal::open(&path).unwrap().acked, BTreeSet::from([planned(2).request_id]));
            }
        }
    }

    #[test]
    fn what_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in [
            "",
            "notes",
            "notes\nno newline",
            "{\"journal\":\"pixtoll.publish.v2\",\"customer_id\":\"acme\",\"requests\":0}\n",
        ] {
            fs::write(&path, text).unwrap();
            check_error(&path, "not a journal of this program; name another file");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let (_folder, path) = journal();
        let broken = fs::read_to_string(&path).unwrap().replace("\"acked\"", "\"asked\"") + "{}\n";
        fs::write(&path, broken).unwrap();
        check_error(&path, "line 5 of the journal");
    }
}
