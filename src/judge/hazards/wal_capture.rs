//! What is read from the log arrives cut, or not at all.

use super::Rule;
use crate::{
    judge::{Facts, LoggedColumn, Source},
    model::{Deployed, Verdict},
};

pub(super) const RULE: Rule = Rule {
    name: "wal-capture",
    heading: "Change capture",
    versions: (0, 67)..=(0, 67),
    verdict: Verdict::Failed,
    looks,
    way_out: "set cdc_mode to trigger, and fill the table again",
};

/// A way in which a change gets lost.
struct Loss {
    how: &'static str,
    happens_to: fn(&LoggedColumn) -> bool,
}

const LOSSES: [Loss; 4] = [
    Loss { how: "without the values of", happens_to: |column| column.r#type.contains(' ') },
    Loss { how: "with texts cut at their first blank in", happens_to: |column| column.is_text },
    Loss {
        how: "without the rows that have NULL in",
        happens_to: |column| column.nullable && !column.is_text,
    },
    Loss { how: "not at all, as no stream table reads", happens_to: |column| !column.read },
];

fn looks(_: &Deployed, facts: &Facts) -> Option<String> {
    let ways = facts.sources.iter().flat_map(|source| LOSSES.iter().map(move |loss| (source, loss)));
    let told = |(source, loss): (&Source, &Loss)| {
        let lost = source.logged_columns.iter().filter(|column| (loss.happens_to)(column));
        let lost: Vec<&str> = lost.map(|column| column.name.as_str()).collect();
        (!lost.is_empty()).then(|| format!("those of {} {} {}", source.name, loss.how, lost.join(", ")))
    };
    let losses: Vec<String> = ways.filter_map(told).collect();
    (!losses.is_empty()).then(|| format!("changes arrive from the log incomplete: {}", losses.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    #[test]
    fn each_way_in_which_a_change_gets_lost_is_told_with_its_columns() {
        let whole =
            LoggedColumn { name: "id".into(), r#type: "integer".into(), read: true, ..Default::default() };
        let looked = |column: LoggedColumn| {
            let columns = vec![whole.clone(), LoggedColumn { name: "c".into(), ..column }];
            let source = Source { name: "orders".into(), logged_columns: columns, ..Source::default() };
            let there = sample::deployed(sample::table("t", &[]));
            looks(&there, &Facts { sources: vec![source], ..Facts::default() }).unwrap_or_default()
        };
        assert_eq!(looked(whole.clone()), "");
        let spaced = looked(LoggedColumn { r#type: "double precision".into(), ..whole.clone() });
        assert_eq!(spaced, "changes arrive from the log incomplete: those of orders without the values of c");
        let text = looked(LoggedColumn { is_text: true, nullable: true, ..whole.clone() });
        assert!(text.ends_with("those of orders with texts cut at their first blank in c"), "{text}");
        let both = looked(LoggedColumn { nullable: true, read: false, ..whole.clone() });
        assert!(both.contains("without the rows that have NULL in c; those of orders not at all"), "{both}");
    }
}
