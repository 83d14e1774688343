//! The rows of a table before and after a change.

use serde::Deserialize;

/// The rows of a table before and after. Duplicate rows count separately.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct RowComparison {
    /// The number of rows; `None` if the table did not exist.
    pub before: Option<u64>,
    /// The number of rows; `None` if the table does not exist.
    pub after: Option<u64>,
    /// `None` without two sides to compare.
    pub difference: Option<RowChanges>,
}

/// How the rows differ, in the columns that exist before and after.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct RowChanges {
    pub columns: Vec<String>,
    /// How many of the columns, from the first, identify a row; `None` if no few columns do.
    pub key: Option<usize>,
    pub added: u64,
    pub removed: u64,
    /// Rows with the same key and other values.
    pub changed: u64,
    pub examples: Vec<RowChange>,
}

/// A row before and after; one side is missing if it was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct RowChange {
    /// The values as text.
    pub before: Option<Vec<Option<String>>>,
    pub after: Option<Vec<Option<String>>>,
}

impl RowComparison {
    /// How many rows differ, in percent of those before; 100 if there were none before.
    pub(super) fn share_changed(&self) -> Option<f64> {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let difference = self.difference.as_ref().filter(|difference| !difference.is_none())?;
        let differing = difference.added + difference.removed + difference.changed;
        match self.before? {
            0 => Some(100.0),
            before => Some(100.0 * number(differing) / number(before)),
        }
    }

    /// The row counts, and how many rows differ.
    pub fn sentence(&self) -> Option<String> {
        Some(match (self.before, self.after) {
            (Some(before), Some(after)) => {
                let difference = self.difference.as_ref().map(RowChanges::sentence);
                format!("{before} -> {after}, {}", difference.unwrap_or_default())
            }
            (Some(before), None) => format!("{before} before"),
            (None, Some(after)) => after.to_string(),
            (None, None) => return None,
        })
    }
}

impl RowChanges {
    pub fn is_none(&self) -> bool {
        [self.added, self.removed, self.changed] == [0; 3]
    }

    fn sentence(&self) -> String {
        let parts = [(self.added, "added"), (self.removed, "removed"), (self.changed, "changed")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() { "unchanged".into() } else { parts.join(", ") }
    }

    /// The examples, each with what happened to the row. A changed row is shown with its key and its changed values
    /// only.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        self.examples.iter().map(|example| self.line(example)).collect()
    }

    fn line(&self, example: &RowChange) -> (&'static str, String) {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".into());
        let row = |values: &[Option<String>]| {
            let values = self.columns.iter().zip(values);
            values.map(|(name, value)| format!("{name} = {}", shown(value))).collect::<Vec<_>>().join(", ")
        };
        match (&example.before, &example.after) {
            (Some(before), Some(after)) => {
                let key = self.key.unwrap_or_default().min(before.len());
                let changes = self.columns.iter().zip(before).zip(after).skip(key);
                let changes: Vec<String> = changes
                    .filter(|((_, was), is)| was != is)
                    .map(|((name, was), is)| format!("{name} {} -> {}", shown(was), shown(is)))
                    .collect();
                ("changed", format!("{}: {}", row(&before[..key]), changes.join(", ")))
            }
            (Some(before), None) => ("removed", row(before)),
            (None, Some(after)) => ("added", row(after)),
            (None, None) => ("added", String::new()),
        }
    }
}
