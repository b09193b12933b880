//! Takes out of a price book's TOML what has not the form of a charge, an allowance, …, and notes each: so that one
//! misspelt field doesn't hide the next mistake.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use super::finding::Findings;
use super::source::{RawAllowance, RawCharge, RawCpuCap, RawTax};

/// Gives the names of the plans of which something was taken out.
pub(super) fn prune(book: &mut DeTable<'_>, findings: &Findings<'_>) -> BTreeSet<String> {
    let mut pruned = BTreeSet::new();
    let Some(DeValue::Table(plans)) = book.get_mut("plans").map(Spanned::get_mut) else { return pruned };
    for (name, plan) in plans.iter_mut() {
        let DeValue::Table(plan) = plan.get_mut() else { continue };
        let taken_out = [
            prune_list::<RawTax>(plan, "taxes", findings),
            prune_list::<RawCpuCap>(plan, "cpu_caps", findings),
            prune_list::<RawAllowance>(plan, "allowances", findings),
            prune_list::<RawCharge>(plan, "charges", findings),
        ];
        if taken_out.contains(&true) {
            pruned.insert(name.get_ref().clone().into_owned());
        }
    }
    pruned
}

/// Whether something was taken out.
fn prune_list<T: DeserializeOwned>(plan: &mut DeTable<'_>, key: &str, findings: &Findings<'_>) -> bool {
    let Some(DeValue::Array(list)) = plan.get_mut(key).map(Spanned::get_mut) else { return false };
    let all = std::mem::replace(list, DeArray::new());
    let before = all.len();
    let has_form = |item: &Spanned<DeValue<'_>>| match T::deserialize(ValueDeserializer::from(item.clone())) {
        Ok(_) => true,
        Err(error) => {
            findings.refused(&error);
            false
        }
    };
    *list = all.into_iter().filter(has_form).collect::<DeArray<'_>>();
    list.len() < before
}
