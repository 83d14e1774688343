//! Capture from the WAL loses rows and values.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, LoggedColumn, SourceFacts},
    model::{Deployed, Verdict, Version},
};

pub(super) const RULE: TableRule = Rule {
    name: "wal-capture",
    heading: "Change capture",
    fixed: Some(Version(0, 107, 0)),
    verdict: Verdict::Failed,
    finds,
    way_out: "set cdc_mode to trigger, and refresh the table in full",
};

/// One kind of loss.
struct Loss {
    how: &'static str,
    affects: fn(&LoggedColumn) -> bool,
}

const LOSSES: [Loss; 4] = [
    Loss { how: "NULL instead of the values of", affects: |column| column.r#type.contains(' ') },
    Loss { how: "texts cut at their first blank in", affects: |column| column.is_text },
    Loss { how: "no rows with NULL in", affects: |column| column.nullable && !column.is_text },
    Loss { how: "no rows at all, because no stream table reads", affects: |column| !column.read },
];

fn finds(_: &Deployed, facts: &Facts) -> Option<String> {
    let ways = facts.sources.iter().flat_map(|source| LOSSES.iter().map(move |loss| (source, loss)));
    let sentence = |(source, loss): (&SourceFacts, &Loss)| {
        let lost = source.logged_columns.iter().filter(|column| (loss.affects)(column));
        let lost: Vec<&str> = lost.map(|column| column.name.as_str()).collect();
        (!lost.is_empty()).then(|| format!("{} gives {} {}", source.name, loss.how, lost.join(", ")))
    };
    let losses: Vec<String> = ways.filter_map(sentence).collect();
    (!losses.is_empty()).then(|| format!("capture from the WAL is incomplete: {}", losses.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    #[test]
    fn each_kind_of_loss_is_reported_with_its_columns() {
        let whole =
            LoggedColumn { name: "id".into(), r#type: "integer".into(), read: true, ..Default::default() };
        let found = |column: LoggedColumn| {
            let columns = vec![whole.clone(), LoggedColumn { name: "c".into(), ..column }];
            let source =
                SourceFacts { name: "orders".into(), logged_columns: columns, ..SourceFacts::default() };
            let there = sample::deployed(sample::table("t", &[]));
            finds(&there, &Facts { sources: vec![source], ..Facts::default() }).unwrap_or_default()
        };
        assert_eq!(found(whole.clone()), "");
        let spaced = found(LoggedColumn { r#type: "double precision".into(), ..whole.clone() });
        assert_eq!(
            spaced,
            "capture from the WAL is incomplete: orders gives NULL instead of the values of c"
        );
        let text = found(LoggedColumn { is_text: true, nullable: true, ..whole.clone() });
        assert!(text.ends_with("orders gives texts cut at their first blank in c"), "{text}");
        let both = found(LoggedColumn { nullable: true, read: false, ..whole.clone() });
        assert!(both.contains("no rows with NULL in c; orders gives no rows at all"), "{both}");
    }
}
