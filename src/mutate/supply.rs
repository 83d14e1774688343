//! The values that the server tests before the first change, so that it accepts most changes later.

use std::collections::BTreeSet;

use super::{ColumnKind, Row, Source, candidates, random::Random, types, types::Types};

/// How many values of a key column are tested, besides the edges of its type.
const OF_A_KEY: u64 = 400;
/// The same for any other column.
const OF_A_COLUMN: u64 = 40;
/// How many values of known rows are varied.
const VARIED: usize = 20;
/// How many combinations of values are tested against conditions.
const TRIED: usize = 600;

impl Source {
    /// The columns whose kind does not determine the accepted values, each with values to test. `rows` are known rows.
    pub fn candidates(&self, types: &Types, rows: &[Row]) -> Vec<(usize, Vec<String>)> {
        let is_undetermined = |at: &usize| {
            let column = &self.columns[*at];
            let is_open = matches!(column.kind, ColumnKind::Other | ColumnKind::Array);
            column.generated.is_none() && (column.bounded || is_open)
        };
        (0..self.columns.len())
            .filter(is_undetermined)
            .map(|at| (at, self.candidates_of(at, types, rows)))
            .collect()
    }

    fn candidates_of(&self, at: usize, types: &Types, rows: &[Row]) -> Vec<String> {
        let is_key = self.keys().any(|key| key.columns.contains(&at));
        let count = if is_key { OF_A_KEY } else { OF_A_COLUMN };
        let mut all: Vec<String> = self
            .constraints
            .iter()
            .filter(|constraint| constraint.columns.contains(&at))
            .filter_map(|constraint| constraint.condition.as_deref())
            .flat_map(types::constants)
            .collect();
        all.extend(self.columns[at].literals.iter().cloned());
        let held: BTreeSet<&String> = rows.iter().filter_map(|row| row[at].as_ref()).collect();
        for value in held.into_iter().take(VARIED) {
            all.push(value.clone());
            all.extend(types::variations(value));
        }
        all.extend(candidates(types, self.columns[at].of, count));
        all
    }

    /// The groups of columns that conditions connect, with those conditions.
    pub fn bound(&self) -> Vec<(Vec<usize>, Vec<&str>)> {
        let mut bound: Vec<(BTreeSet<usize>, Vec<&str>)> = Vec::new();
        for constraint in &self.constraints {
            let Some(condition) = constraint.condition.as_deref() else { continue };
            let mut columns: BTreeSet<usize> = constraint.columns.iter().copied().collect();
            let mut conditions = vec![condition];
            bound.retain(|(others, more)| {
                let is_apart = others.is_disjoint(&columns);
                if !is_apart {
                    columns.extend(others);
                    conditions.extend(more);
                }
                is_apart
            });
            bound.push((columns, conditions));
        }
        bound.into_iter().map(|(columns, conditions)| (columns.into_iter().collect(), conditions)).collect()
    }

    /// Combinations of values of these columns to test against their conditions. Some are a known row with one other
    /// value.
    pub fn combinations(&self, columns: &[usize], rows: &[Row]) -> Vec<Row> {
        if let [at] = columns {
            return self.columns[*at].values.iter().map(|value| vec![Some(value.clone())]).collect();
        }
        let mut random = Random::new(1);
        let mut tried: BTreeSet<Row> = BTreeSet::new();
        for _ in 0..TRIED {
            let mut row: Row = columns
                .iter()
                .map(|at| {
                    let column = &self.columns[*at];
                    let is_null = column.generated.is_some() || !column.not_null && random.percent(20);
                    if is_null { None } else { random.one(&column.values).cloned() }
                })
                .collect();
            if random.percent(30)
                && let Some(like) = random.one(rows)
            {
                let kept = random.below(columns.len());
                for (nth, at) in columns.iter().enumerate().filter(|(nth, _)| *nth != kept) {
                    row[nth].clone_from(&like[*at]);
                }
            }
            tried.insert(row);
        }
        tried.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Constraint, sample},
        *,
    };

    fn check(name: &str, columns: &[usize]) -> Constraint {
        Constraint {
            name: name.into(),
            kind: 'c',
            columns: columns.to_vec(),
            condition: Some(format!("{name} < 7")),
        }
    }

    #[test]
    fn conditions_that_share_a_column_are_one_group() {
        let mut source = sample()[0].clone();
        source.constraints = vec![check("a", &[0]), check("b", &[1, 2]), check("c", &[2])];
        assert_eq!(source.bound(), [(vec![0], vec!["a < 7"]), (vec![1, 2], vec!["c < 7", "b < 7"])]);
    }

    #[test]
    fn a_column_with_a_condition_is_tested_with_values_of_the_condition_and_of_rows() {
        let mut source = sample()[0].clone();
        source.constraints = vec![check("a", &[2])];
        source.columns[2].bounded = true;
        let rows = [super::super::row(&["1", "1", "AB-9"])];
        let candidates = source.candidates(&Types::new(), &rows);
        let [(2, values)] = &candidates[..] else { panic!("{candidates:?}") };
        for value in ["6", "7", "8", "AB-9", "AB-10"] {
            assert!(values.iter().any(|candidate| candidate == value), "{value}: {values:?}");
        }
    }
}
