//! BILL-3: the bills in `golden/` recompute byte for byte, for ever.
//!
//! Each folder holds a price book, the months that were rated by it (`{"currency","ledger","plan","usage"}` a line, of
//! which the ledger may be missing) and their bills. A folder is never rewritten, so there is no switch here that would: another case, or another rating version,
//! gets a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use contract::account::Currency;
use contract::ids::PlanName;
use serde::Deserialize;

use crate::{Bill, Ledger, MonthUsage, PriceBook};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    currency: Currency,
    #[serde(default)]
    ledger: Ledger,
    plan: PlanName,
    usage: MonthUsage,
}

fn folders() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut folders: Vec<_> = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn recompute(folder: &Path) -> String {
    let book = PriceBook::parse(&fs::read_to_string(folder.join("price-book.toml")).unwrap()).unwrap();
    let months = fs::read_to_string(folder.join("months.jsonl")).unwrap();
    let rate = |line: &str| {
        let case: Case = serde_json::from_str(line).unwrap();
        let bill = crate::rate_with(&case.usage, &book, &case.plan, &case.currency, &case.ledger).unwrap();
        bill.to_json_line().unwrap() + "\n"
    };
    months.lines().map(rate).collect()
}

#[test]
fn golden_bills_recompute_byte_for_byte() {
    for folder in folders() {
        let golden = fs::read_to_string(folder.join("bills.jsonl")).unwrap();
        let recomputed = recompute(&folder);
        for (number, (ours, theirs)) in recomputed.lines().zip(golden.lines()).enumerate() {
            assert_eq!(ours, theirs, "{}, bill {}", folder.display(), number + 1);
        }
        assert_eq!(recomputed, golden, "{}", folder.display());
    }
}

#[test]
fn golden_bills_can_be_read_and_pass_their_checks() {
    for folder in folders() {
        let golden = fs::read_to_string(folder.join("bills.jsonl")).unwrap();
        assert!(!golden.is_empty(), "{}", folder.display());
        for line in golden.lines() {
            let bill: Bill = serde_json::from_str(line).unwrap();
            bill.check().unwrap();
            assert_eq!(bill.to_json_line().unwrap(), line);
        }
    }
}
