//! Capture from the WAL loses the values of columns whose type has a blank in its name.

use super::Rule;
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
};

pub(super) const RULE: Rule = Rule {
    name: "wal-types",
    heading: "Change capture",
    versions: (0, 67)..=(0, 67),
    verdict: Verdict::Failed,
    looks,
    way_out: "set cdc_mode to trigger, and fill the table again",
};

fn looks(_: &Deployed, facts: &Facts) -> Option<String> {
    let from_wal = facts.sources.iter().filter(|source| source.cdc_mode == "WAL");
    let lost: Vec<String> = from_wal
        .flat_map(|source| source.spaced_types.iter().map(move |column| format!("{}.{column}", source.name)))
        .collect();
    (!lost.is_empty()).then(|| format!("changes arrive without the values of {}", lost.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Source, sample};

    #[test]
    fn only_what_comes_from_the_wal_is_told() {
        let looked = |cdc_mode: &str, types: &[&str]| {
            let source = Source {
                name: "orders".into(),
                cdc_mode: cdc_mode.into(),
                spaced_types: types.iter().map(|t| (*t).to_owned()).collect(),
                ..Source::default()
            };
            let there = sample::deployed(sample::table("t", &[]));
            looks(&there, &Facts { sources: vec![source], ..Facts::default() })
        };
        assert!(looked("WAL", &["paid double precision"]).unwrap().contains("orders.paid double precision"));
        assert_eq!(looked("TRIGGER", &["paid double precision"]), None);
        assert_eq!(looked("WAL", &[]), None);
    }
}
