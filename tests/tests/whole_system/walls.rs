//! The walls of the house: who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What is linked into a release: dependencies of dependencies, but nothing that only builds or tests use.
struct Linked {
    metadata: Metadata,
}

impl Linked {
    fn read() -> Result<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let options = ["--locked".to_owned(), "--offline".to_owned()];
        Ok(Self { metadata: MetadataCommand::new().manifest_path(manifest).other_options(options).exec()? })
    }

    fn name(&self, id: &PackageId) -> &str {
        &self.metadata[id].name
    }

    fn direct(&self, id: &PackageId) -> Result<Vec<&PackageId>> {
        let graph = self.metadata.resolve.as_ref().context("cargo metadata without a graph")?;
        let node = graph.nodes.iter().find(|node| node.id == *id).context("a package without a node")?;
        let linked =
            node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        Ok(linked.map(|dep| &dep.pkg).collect())
    }

    /// Every package of the workspace with the names of all that it links, itself not among them.
    fn all(&self) -> Result<BTreeMap<&str, BTreeSet<&str>>> {
        let mut all = BTreeMap::new();
        for root in &self.metadata.workspace_members {
            let (mut seen, mut open) = (BTreeSet::new(), self.direct(root)?);
            while let Some(id) = open.pop() {
                if seen.insert(id) {
                    open.extend(self.direct(id)?);
                }
            }
            all.insert(self.name(root), seen.into_iter().map(|id| self.name(id)).collect());
        }
        Ok(all)
    }
}

/// (who, never links)
const WALLS: [(&str, &[&str]); 14] = [
    ("pixtoll-contract", &["rdkafka", "datafusion", "object_store", "tokio", "arrow", "parquet"]),
    ("pixtoll-log", &["datafusion", "object_store"]),
    ("pixtoll-store", &["datafusion", "rdkafka"]),
    ("pixtoll-service", &["datafusion", "rdkafka", "object_store"]),
    ("pixtoll-engine", &["datafusion", "rdkafka", "object_store", "tokio", "clap", "pixtoll-store", "pixtoll-log"]),
    ("pixtoll-segments", &["datafusion", "rdkafka"]),
    ("pixtoll-rating", &["datafusion", "rdkafka", "object_store", "tokio", "pixtoll-store", "pixtoll-segments"]),
    ("pixtoll-seals", &["datafusion", "rdkafka"]),
    ("ingest", &["datafusion"]),
    ("resize-consumer", &["datafusion"]),
    ("aggregator", &["datafusion"]),
    ("billing-jobs", &["rdkafka", "rdkafka-sys", "pixtoll-log", "cold-archive"]),
    ("cold-archive", &["rdkafka", "rdkafka-sys", "pixtoll-log", "billing-jobs"]),
    ("system-tests", &["datafusion", "pixtoll-rating", "billing-jobs", "cold-archive"]),
];

#[test]
fn the_walls_stand() -> Result<()> {
    let read = Linked::read()?;
    let linked = read.all()?;
    let ours: BTreeSet<&str> = linked.keys().copied().collect();
    let walled: BTreeSet<&str> = WALLS.iter().map(|(who, _)| *who).collect();
    assert_eq!(walled, ours, "a package without a wall, or a wall without a package");
    let mut broken = Vec::new();
    for (who, never) in WALLS {
        broken
            .extend(never.iter().filter(|name| linked[who].contains(*name)).map(|name| format!("{who} links {name}")));
    }
    // The contract depends on nothing of ours.
    broken.extend(linked["pixtoll-contract"].intersection(&ours).map(|name| format!("pixtoll-contract links {name}")));
    // A shared crate is named for its subject.
    let vague = |name: &str| ["common", "util", "shared", "misc"].iter().any(|word| name.contains(word));
    broken.extend(ours.iter().filter(|name| vague(name)).map(|name| format!("{name} says nothing")));
    assert!(broken.is_empty(), "{broken:#?}");
    // That what is forbidden is there at all: a misspelled name would never be found.
    let everything: BTreeSet<&str> = linked.values().flatten().copied().chain(ours.iter().copied()).collect();
    let unknown: Vec<_> =
        WALLS.iter().flat_map(|(_, never)| *never).filter(|name| !everything.contains(*name)).collect();
    assert!(unknown.is_empty(), "nothing is called {unknown:?}");
    Ok(())
}
