//! What a process serves at /metrics, read strictly.
//!
//! Source: the OpenMetrics specification, version 1.0.0, sections 3.2 to 5.3.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

/// Each sample by its name and labels as they stand there: `name{label="value"}`.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let body = text.strip_suffix("# EOF\n").context("no # EOF at the end")?;
        let (mut samples, mut families) = (Self::default(), BTreeMap::new());
        let mut family = ("", "");
        for line in body.lines() {
            let context = || format!("metrics line {line:?}");
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (keyword, name) = (words.next().unwrap_or_default(), words.next().with_context(context)?);
                let rest = words.next().with_context(context)?;
                match keyword {
                    "HELP" => ensure!(name == family.0 || !families.contains_key(name), "{name} comes twice"),
                    "TYPE" => {
                        family = (name, rest);
                        ensure!(families.insert(name, rest).is_none(), "{name} has two types");
                    }
                    _ => bail!("{}", context()),
                }
                continue;
            }
            let (key, value) = line.rsplit_once(' ').with_context(context)?;
            let name = key.split('{').next().unwrap_or_default();
            let suffixes: &[&str] = match family.1 {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => bail!("{name} is of type {other:?}"),
            };
            let of_family = name.strip_prefix(family.0).is_some_and(|suffix| suffixes.contains(&suffix));
            ensure!(of_family, "{name} stands below {family:?}");
            let well_formed =
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && labels_are_good(key, name);
            ensure!(well_formed, "{}", context());
            let value: f64 = value.parse().with_context(context)?;
            ensure!(samples.0.insert(key.to_owned(), value).is_none(), "{key} comes twice");
        }
        samples.check_histograms()?;
        Ok(samples)
    }

    /// A histogram's last bucket holds all that it has counted.
    fn check_histograms(&self) -> Result<()> {
        for (key, in_all) in self.0.iter().filter(|(key, _)| key.contains("le=\"+Inf\"")) {
            let count = ["le=\"+Inf\",", ",le=\"+Inf\"", "{le=\"+Inf\"}"].iter();
            let count = count.fold(key.replace("_bucket", "_count"), |name, label| name.replace(label, ""));
            let counted = self.0.get(&count).with_context(|| format!("{key} without {count}"))?;
            ensure!((in_all - counted).abs() < 0.5, "{key} is {in_all}, {count} is {counted}");
        }
        Ok(())
    }

    /// The sum of all samples of that name with all of these labels; 0 if there is none.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let wanted = |key: &str| {
            let (found, of_labels) = key.split_once('{').unwrap_or((key, ""));
            found == name && labels.iter().all(|label| of_labels.contains(label))
        };
        self.0.iter().filter(|(key, _)| wanted(key)).map(|(_, value)| value).sum()
    }
}

/// `{name="value",…}` behind the name, or nothing. Values here have no quotes to be escaped.
fn labels_are_good(key: &str, name: &str) -> bool {
    let labels = &key[name.len()..];
    if labels.is_empty() {
        return true;
    }
    let Some(inner) = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')) else { return false };
    inner.split(',').all(|pair| {
        let value = pair.split_once('=').and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'));
        value.is_some_and(|value| !value.contains(['"', '\\']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_openmetrics_is_refused() {
        let good = "# HELP a_seconds Help.\n# TYPE a_seconds histogram\na_seconds_sum{s=\"x\"} 1.5\n\
                    a_seconds_count{s=\"x\"} 2\na_seconds_bucket{le=\"1.0\",s=\"x\"} 1\n\
                    a_seconds_bucket{le=\"+Inf\",s=\"x\"} 2\n# HELP b Help.\n# TYPE b counter\nb_total 3\n# EOF\n";
        let samples = Samples::parse(good).unwrap();
        assert!((samples.sum("b_total", &[]) - 3.0).abs() < 1e-9);
        assert!((samples.sum("a_seconds_bucket", &["s=\"x\""]) - 3.0).abs() < 1e-9);
        for (from, to) in [
            ("# EOF\n", ""),
            ("b_total", "b"),
            ("b_total 3", "b_total x"),
            (",s=\"x\"", ",s=x"),
            ("s=\"x\"} 2\n#", "s=\"x\"} 1\n#"),
            ("# TYPE b counter\n", ""),
            ("b_total 3\n", "b_total 3\nb_total 3\n"),
        ] {
            assert!(Samples::parse(&good.replace(from, to)).is_err(), "{from} → {to}");
        }
    }
}
