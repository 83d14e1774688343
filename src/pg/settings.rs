//! The settings of our own transactions: one table, with the reason for each.
//!
//! They are set with SET LOCAL at the beginning of a transaction and never for a session: behind a pooler another
//! transaction of ours may get another session, and another client ours. `client_encoding` is not in the table, because the
//! driver asks for UTF8 when it connects. `TimeZone` is not either: ISO dates carry their offset.

use std::fmt::Write as _;

/// What a statement of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A question about the catalogs.
    Catalog,
    /// Rows of sources, read or written as text.
    Values,
    /// The query of a stream table. It means what it means under the settings of the database: the engine ran it so.
    Query,
}

use Purpose::{Catalog, Query, Values};

struct Setting {
    name: &'static str,
    value: &'static str,
    purposes: &'static [Purpose],
}

const fn set(name: &'static str, value: &'static str, purposes: &'static [Purpose]) -> Setting {
    Setting { name, value, purposes }
}

const SETTINGS: [Setting; 10] = [
    // Less than 1 rounds floating point numbers when they are written as text.
    set("extra_float_digits", "1", &[Catalog, Values]),
    // Other styles read 01/02 in two ways, and have no time zone offset. The order of day and month stays the database's.
    set("datestyle", "iso", &[Catalog, Values]),
    // sql_standard has no sign for each field: a mixed interval comes back as another one.
    set("intervalstyle", "postgres", &[Catalog, Values]),
    // escape depends on how backslashes are read.
    set("bytea_output", "hex", &[Catalog, Values]),
    // Off, a backslash in a plain literal begins an escape.
    set("standard_conforming_strings", "on", &[Catalog, Values]),
    // Off, NULL in an array is the text "NULL".
    set("array_nulls", "on", &[Catalog, Values]),
    // Money is written and read with the symbol and the separators of this locale.
    set("lc_monetary", "'C'", &[Values]),
    // document refuses fragments of XML that a column holds.
    set("xmloption", "content", &[Values]),
    // A policy raises an error instead of hiding rows from the role, which would pass for loss.
    set("row_security", "off", &[Catalog, Values, Query]),
    // Nobody's function or operator takes the place of PostgreSQL's, and names in answers carry their schema.
    set("search_path", "pg_catalog", &[Catalog]),
];

/// The statements that set what this purpose wants until the transaction ends, each with a semicolon behind it.
pub(super) fn local(purpose: Purpose) -> String {
    of(purpose).fold(String::new(), |mut sql, setting| {
        let _ = write!(sql, "set local {} = {}; ", setting.name, setting.value);
        sql
    })
}

/// The statements that take them back inside the transaction, each with a semicolon behind it.
pub(super) fn back(purpose: Purpose) -> String {
    of(purpose).fold(String::new(), |mut sql, setting| {
        let _ = write!(sql, "set local {} to default; ", setting.name);
        sql
    })
}

/// A statement that sets limits until the transaction ends, in milliseconds. What the server does not know is left out.
pub(super) fn limits(limits: &[(&str, u128)]) -> String {
    let values: Vec<String> = limits.iter().map(|(name, value)| format!("('{name}', '{value}ms')")).collect();
    format!(
        "select count(pg_catalog.set_config(name, value, true)) from (values {}) as wanted (name, value)
         join pg_catalog.pg_settings using (name)",
        values.join(", ")
    )
}

fn of(purpose: Purpose) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.purposes.contains(&purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_the_settings_of_its_database() {
        assert_eq!(local(Query), "set local row_security = off; ");
        assert_eq!(back(Query), "set local row_security to default; ");
    }
}
