//! Changes of the columns of a source that pg_trickle follows, between changes of its rows.

use super::{Alteration, Change, Mutator, Source, SourceColumn, change::ADDED};

/// How often, in percent, a change alters the source instead of rows.
const ALTERATIONS: usize = 2;
/// The most alterations of a source.
const MOST: usize = 3;
/// The additional digits of a wider number.
const DIGITS: u32 = 10;

impl Source {
    /// The columns whose type can be wider, each with that type.
    fn wider(&self) -> Vec<(String, String)> {
        let wider = |at: usize| {
            let column = &self.columns[at];
            let to = match (column.type_name.as_str(), column.size, column.scale) {
                ("smallint" | "integer", ..) => "bigint".to_owned(),
                (text, Some(_), _) if text.starts_with("character varying(") => "text".to_owned(),
                (number, Some(size), Some(scale)) if number.starts_with("numeric(") => {
                    format!("numeric({}, {scale})", size + DIGITS)
                }
                _ => return None,
            };
            column.generated.is_none().then(|| (column.name.clone(), to))
        };
        (0..self.columns.len()).filter_map(wider).collect()
    }

    /// The greatest number of a column that an earlier verification added.
    fn added(&self) -> usize {
        let number = |column: &SourceColumn| column.name.strip_prefix(ADDED)?.parse().ok();
        self.columns.iter().filter_map(number).max().unwrap_or(0)
    }
}

impl Mutator {
    /// An alteration of the source, rarely.
    pub(super) fn alteration(&mut self, source: usize) -> Option<Change> {
        let altered = self.known[source].altered;
        if !self.sources[source].may_alter || altered >= MOST || !self.random.percent(ALTERATIONS) {
            return None;
        }
        self.known[source].altered += 1;
        let wider = self.sources[source].wider();
        let widened = if self.random.percent(50) { self.random.one(&wider).cloned() } else { None };
        let alteration = match widened {
            Some((column, to)) => Alteration::Widen(column, to),
            None => Alteration::AddColumn(self.sources[source].added() + altered + 1),
        };
        Some(Change::Alter { source, alteration })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn a_new_column_has_another_name_than_those_of_earlier_verifications() {
        let mut source = Source { may_alter: true, ..sample()[0].clone() };
        source.columns.truncate(1);
        for name in ["pgtrickle_ci_4", "pgtrickle_ci_2", "pgtrickle_ci_note"] {
            let column =
                SourceColumn { name: name.into(), type_name: "text".into(), ..source.columns[0].clone() };
            source.columns.push(column);
        }
        let mut mutator = Mutator::new(1, vec![source], vec![(vec![], true)], true);
        let added = (0..2000).filter_map(|_| {
            let change = mutator.alteration(0);
            let Some(Change::Alter { alteration: Alteration::AddColumn(number), .. }) = change else {
                return None;
            };
            Some(number)
        });
        let added: Vec<usize> = added.collect();
        assert!(!added.is_empty() && added.iter().all(|number| *number > 4), "{added:?}");
    }

    #[test]
    fn a_source_is_altered_a_few_times() {
        let source = Source { may_alter: true, ..sample()[0].clone() };
        let mut mutator = Mutator::new(1, vec![source.clone()], vec![(vec![], true)], true);
        let drawn: Vec<Change> = (0..2000).filter_map(|_| mutator.alteration(0)).collect();
        assert_eq!(drawn.len(), MOST);
        let mut never = Mutator::new(1, sample(), vec![(vec![], true), (vec![], true)], true);
        assert_eq!((0..2000).filter_map(|_| never.alteration(0)).count(), 0);
        assert_eq!(source.wider()[0], ("id".to_owned(), "bigint".to_owned()));
        let sql = Alteration::Widen("id".into(), "bigint".into()).sql(&source);
        assert!(sql.contains(r#"alter table "shop"."orders" alter column "id" type bigint;"#), "{sql}");
    }
}
