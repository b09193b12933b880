//! Mistakes of a price book, collected, each with its place.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// A mistake in a price book: where it stands, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {place}: {problem}")]
pub struct PriceBookError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The plan and charge, or the line itself.
    pub place: String,
    pub problem: String,
}

impl PriceBookError {
    pub(super) fn in_file(self, file: &str) -> Finding {
        let Self { line, column, place, problem } = self;
        Finding { file: file.to_owned(), line, column, reason: format!("{place}: {problem}") }
    }
}

/// A mistake as a person's editor wants it: `file:line: reason`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// At least one mistake, in the order of the file.
#[derive(Debug)]
pub(super) struct Mistakes {
    pub(super) first: PriceBookError,
    rest: Vec<PriceBookError>,
}

impl IntoIterator for Mistakes {
    type Item = PriceBookError;
    type IntoIter = std::iter::Chain<std::iter::Once<PriceBookError>, std::vec::IntoIter<PriceBookError>>;
    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// The mistakes so far.
pub(super) struct Findings<'a> {
    toml: &'a str,
    list: RefCell<Vec<PriceBookError>>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(toml: &'a str) -> Self {
        Self { toml, list: RefCell::default() }
    }

    pub(super) fn at(&self, place: impl Into<String>) -> At<'_> {
        At { findings: self, place: place.into() }
    }

    /// What TOML or serde refused: the place is the line as it stands.
    pub(super) fn refused(&self, error: &toml::de::Error) {
        let (line, column) = position(self.toml, &error.span().unwrap_or_default());
        let text = self.toml.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        let place = format!("`{}`", text.chars().take(120).collect::<String>());
        let problem = error.message().replace('\n', " ");
        self.list.borrow_mut().push(PriceBookError { line, column, place, problem });
    }

    /// `whole`, unless there was a mistake.
    pub(super) fn unless_any<T>(self, whole: Option<T>) -> Result<T, Mistakes> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|error| (error.line, error.column));
        let mut list = list.into_iter();
        match (list.next(), whole) {
            (Some(first), _) => Err(Mistakes { first, rest: list.collect() }),
            (None, Some(whole)) => Ok(whole),
            // No reader gives up without a word.
            (None, None) => {
                let (place, problem) = ("the file".to_owned(), "it can't be read".to_owned());
                Err(Mistakes { first: PriceBookError { line: 1, column: 1, place, problem }, rest: Vec::new() })
            }
        }
    }
}

/// What is being read: gives every mistake its place.
pub(super) struct At<'f> {
    findings: &'f Findings<'f>,
    place: String,
}

impl At<'_> {
    /// Notes the mistake; there is no value.
    pub(super) fn wrong<T>(&self, span: &Range<usize>, problem: impl Into<String>) -> Option<T> {
        let (line, column) = position(self.findings.toml, span);
        let error = PriceBookError { line, column, place: self.place.clone(), problem: problem.into() };
        self.findings.list.borrow_mut().push(error);
        None
    }

    /// The value, or its error noted.
    pub(super) fn right<T, E: fmt::Display>(&self, span: &Range<usize>, result: Result<T, E>) -> Option<T> {
        result.map_or_else(|error| self.wrong(span, error.to_string()), Some)
    }
}

/// Line and column, both from 1.
fn position(toml: &str, span: &Range<usize>) -> (usize, usize) {
    let before = toml.get(..span.start).unwrap_or(toml);
    let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
    let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}
