//! Published price books: create-only, so a version says the same for ever.

use std::path::Path;

use anyhow::Context as _;
use contract::layout::{self, PRICE_BOOKS};
use contract::{Digest, Month};
use rating::{Finding, PriceBook};
use seals::run::PriceBookRef;
use service::BadUsage;
use store::{Put, Store};

pub(crate) struct Published {
    pub(crate) book: PriceBook,
    pub(crate) reference: PriceBookRef,
}

/// The text of a file that somebody named.
pub(crate) fn read(file: &Path) -> Result<String, BadUsage> {
    std::fs::read_to_string(file).map_err(|error| BadUsage(format!("{}: {error}", file.display())))
}

pub(crate) fn check(file: &Path, text: &str) -> Vec<Finding> {
    rating::price_book::check(&file.display().to_string(), text)
}

/// A published version by its number, or a book that stands in a file.
pub(crate) async fn find(store: &Store, book: &str) -> anyhow::Result<PriceBook> {
    if let Ok(version) = book.parse::<u32>() {
        let found = list(store).await?.into_iter().find(|published| published.book.version == version);
        return Ok(found.ok_or_else(|| BadUsage(format!("price book {version} is not published")))?.book);
    }
    let file = Path::new(book);
    Ok(parse_file(file, &read(file)?)?.book)
}

/// A good book, or all its mistakes.
fn parse_file(file: &Path, text: &str) -> Result<Published, BadUsage> {
    let mistakes = || check(file, text).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    parse(text).map_err(|_| BadUsage(mistakes()))
}

/// Checks a file and publishes it under its own version. Answers whether it was new.
pub(crate) async fn publish(store: &Store, file: &Path) -> anyhow::Result<(Published, bool)> {
    let name = file.display();
    let text = read(file)?;
    let published = parse_file(file, &text)?;
    let version = published.book.version;
    let newest = list(store).await?.last().map_or(0, |newest| newest.book.version);
    match store.create(&layout::price_book(version), text.into()).await? {
        Put::Created => Ok((published, true)),
        Put::AlreadySame => Ok((published, false)),
        Put::AlreadyOther => Err(BadUsage(format!(
            "{name}: price book {version} is published and says something else; make this version {}",
            newest.saturating_add(1)
        ))
        .into()),
    }
}

/// All published price books, by version.
pub(crate) async fn list(store: &Store) -> anyhow::Result<Vec<Published>> {
    let mut books = Vec::new();
    for entry in store.list(PRICE_BOOKS).await? {
        let bytes = store.get(&entry.path).await?.with_context(|| format!("{} is gone", entry.path))?;
        let text = std::str::from_utf8(&bytes).with_context(|| entry.path.clone())?;
        let published = parse(text).map_err(|e| anyhow::anyhow!("{}:{e}", entry.path))?;
        anyhow::ensure!(layout::price_book(published.book.version) == entry.path, "{} is not at its place", entry.path);
        books.push(published);
    }
    Ok(books)
}

/// The book that bills a month: the highest version effective by then.
pub(crate) async fn for_month(store: &Store, month: Month) -> anyhow::Result<Published> {
    let effective = list(store).await?.into_iter().rev().find(|published| published.book.effective_from <= month);
    effective.ok_or_else(|| {
        let what =
            format!("no published price book is effective in {month}; run `billing-jobs price-book publish FILE`");
        BadUsage(what).into()
    })
}

/// The published book that an earlier draft used.
pub(crate) async fn by_reference(store: &Store, reference: PriceBookRef) -> anyhow::Result<Published> {
    let same = |published: &Published| published.reference == reference;
    let found = list(store).await?.into_iter().find(same);
    found.with_context(|| format!("price book {} with sha256 {} is gone", reference.version, reference.sha256))
}

fn parse(text: &str) -> Result<Published, rating::PriceBookError> {
    let book = PriceBook::parse(text)?;
    let reference = PriceBookRef { version: book.version, sha256: Digest::of(text.as_bytes()) };
    Ok(Published { book, reference })
}
