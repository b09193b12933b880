//! Which usage a charge looks at, and whether some charges together look at all of it exactly once.
//!
//! Regions, operations and formats are open sets: a new one may come any day. So a condition names labels in one of two
//! ways, and what it does not name is decided too:
//!
//! | condition | takes | a label that nobody thought of, or none (an unknown format) |
//! |---|---|---|
//! | none | all | taken |
//! | `{ only = ["a", "b"] }` | `a` and `b` | not taken |
//! | `{ except = ["a", "b"] }` | all but `a` and `b` | taken |
//!
//! All conditions of a filter hold at once. Filters name finitely many labels, and all other labels fare alike: so
//! whether charges have a hole or an overlap is decided exactly, by looking at each named label and one "any other" per
//! dimension ([`cover`]). Usage of a label to come then also falls to exactly one charge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use contract::ids::Label;

use crate::usage::UsageGroup;

/// More labels × filters, or cells × filters, than a price book has. Bounds the work.
const MAX_LOOKS: usize = 10_000_000;

/// What a filter may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    Region,
    Operation,
    InputFormat,
    OutputFormat,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Region, Self::Operation, Self::InputFormat, Self::OutputFormat];

    fn label_of(self, group: &UsageGroup) -> Option<&str> {
        match self {
            Self::Region => Some(group.region.as_str()),
            Self::Operation => Some(group.operation.as_str()),
            Self::InputFormat => group.input_format.as_ref().map(Label::as_str),
            Self::OutputFormat => group.output_format.as_ref().map(Label::as_str),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::Operation => "operation",
            Self::InputFormat => "input_format",
            Self::OutputFormat => "output_format",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Only(Vec<Label>),
    Except(Vec<Label>),
}

impl Condition {
    fn takes(&self, label: Option<&str>) -> bool {
        let named = |labels: &[Label]| label.is_some_and(|label| labels.iter().any(|named| named.as_str() == label));
        match self {
            Self::Only(labels) => named(labels),
            Self::Except(labels) => !named(labels),
        }
    }
    fn labels(&self) -> &[Label] {
        match self {
            Self::Only(labels) | Self::Except(labels) => labels,
        }
    }
}

/// The empty filter takes everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub conditions: BTreeMap<Dimension, Condition>,
}

impl Filter {
    pub fn takes(&self, group: &UsageGroup) -> bool {
        self.conditions.iter().all(|(dimension, condition)| condition.takes(dimension.label_of(group)))
    }
    fn takes_label(&self, dimension: Dimension, label: Option<&str>) -> bool {
        self.conditions.get(&dimension).is_none_or(|condition| condition.takes(label))
    }
}

/// A part of all usage that every filter takes or leaves as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell(Vec<(Dimension, Option<Label>)>);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any kind");
        }
        for (number, (dimension, label)) in self.0.iter().enumerate() {
            let and = if number == 0 { "" } else { ", " };
            match label {
                Some(label) => write!(f, "{and}{dimension} {label}")?,
                None => write!(f, "{and}{dimension} other than those named")?,
            }
        }
        Ok(())
    }
}

/// What some filters together miss and take twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// The first cell that none takes.
    pub hole: Option<Cell>,
    /// Pairs of filters, by number, with the first cell that both take: of several that take a cell, each with the first.
    pub overlaps: BTreeMap<(usize, usize), Cell>,
}

/// The filters name too many labels for an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// Looks at all usage there can be. Exact.
pub fn cover(filters: &[&Filter]) -> Result<Cover, TooMany> {
    let axes = Dimension::ALL.into_iter().map(|dimension| axis(filters, dimension)).collect::<Result<Vec<_>, _>>()?;
    let cells = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.kinds.len()));
    if cells.and_then(|cells| cells.checked_mul(filters.len())).is_none_or(|looks| looks > MAX_LOOKS) {
        return Err(TooMany);
    }
    let mut found = Cover::default();
    let all: Vec<usize> = (0..filters.len()).collect();
    visit(&axes, &all, &Cell::default(), &mut found);
    Ok(found)
}

/// One dimension: its labels, as far as some filter tells them apart, each with the filters that take it.
struct Axis {
    dimension: Dimension,
    kinds: Vec<(Option<Label>, Vec<bool>)>,
}

fn axis(filters: &[&Filter], dimension: Dimension) -> Result<Axis, TooMany> {
    let conditions = filters.iter().filter_map(|filter| filter.conditions.get(&dimension));
    let mut labels: Vec<&Label> = conditions.flat_map(Condition::labels).collect();
    // Each label is looked for in all filters, and in all that they name.
    let looked_through = labels.len().max(filters.len());
    labels.sort();
    labels.dedup();
    if labels.len().checked_mul(looked_through).is_none_or(|looks| looks > MAX_LOOKS) {
        return Err(TooMany);
    }
    let mut kinds: Vec<(Option<Label>, Vec<bool>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for label in std::iter::once(None).chain(labels.into_iter().map(Some)) {
        let takers: Vec<bool> =
            filters.iter().map(|filter| filter.takes_label(dimension, label.map(Label::as_str))).collect();
        if seen.insert(takers.clone()) {
            kinds.push((label.cloned(), takers));
        }
    }
    Ok(Axis { dimension, kinds })
}

/// `takers` are the filters that take the cell so far.
fn visit(axes: &[Axis], takers: &[usize], cell: &Cell, found: &mut Cover) {
    if takers.is_empty() {
        found.hole.get_or_insert_with(|| cell.clone());
        return;
    }
    let Some((axis, rest)) = axes.split_first() else {
        if let [first, others @ ..] = takers {
            for other in others {
                found.overlaps.entry((*first, *other)).or_insert_with(|| cell.clone());
            }
        }
        return;
    };
    for (label, takes) in &axis.kinds {
        let takers: Vec<usize> = takers.iter().copied().filter(|taker| takes.get(*taker) == Some(&true)).collect();
        let mut cell = cell.clone();
        if axis.kinds.len() > 1 {
            cell.0.push((axis.dimension, label.clone()));
        }
        visit(rest, &takers, &cell, found);
    }
}
