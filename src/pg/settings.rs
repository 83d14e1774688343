//! The settings of this program's transactions, with the reason for each.
//!
//! They are set with SET LOCAL at the beginning of a transaction and never for a session: behind a pooler each
//! transaction may get another session, and another client may get this one. `client_encoding` is not in the table,
//! because the driver sets UTF8 when it connects. `TimeZone` is not either, because ISO dates have an offset.

use std::fmt::Write as _;

/// Begins a transaction whose statements see what is committed. A database's default may be serializable and deferrable:
/// then a query waits until all other transactions end, also those of this program.
pub(super) const BEGIN: &str = "begin isolation level read committed";

/// The same for queries.
pub(super) const BEGIN_READ_ONLY: &str = "begin isolation level read committed read only";

/// The purpose of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A query on the catalogs.
    Catalog,
    /// Rows of sources, read or written as text.
    Values,
    /// The query of a stream table, which needs the settings of the database, because the engine uses those.
    Query,
}

use Purpose::{Catalog, Query, Values};

struct SessionSetting {
    name: &'static str,
    value: &'static str,
    purposes: &'static [Purpose],
}

const fn set(name: &'static str, value: &'static str, purposes: &'static [Purpose]) -> SessionSetting {
    SessionSetting { name, value, purposes }
}

const SETTINGS: [SessionSetting; 11] = [
    // Less than 1 rounds floating point numbers in text.
    set("extra_float_digits", "1", &[Catalog, Values]),
    // Other styles are ambiguous (01/02) and have no time zone offset. The order of day and month stays the database's.
    set("datestyle", "iso", &[Catalog, Values]),
    // sql_standard has no sign for each field, so a mixed interval changes its value.
    set("intervalstyle", "postgres", &[Catalog, Values]),
    // escape depends on standard_conforming_strings.
    set("bytea_output", "hex", &[Catalog, Values]),
    // If it is off, a backslash in a plain literal is an escape.
    set("standard_conforming_strings", "on", &[Catalog, Values]),
    // If it is off, NULL in an array is the text "NULL".
    set("array_nulls", "on", &[Catalog, Values]),
    // The symbol and the separators of money depend on this locale.
    set("lc_monetary", "'C'", &[Values]),
    // document rejects XML fragments, which a column may contain.
    set("xmloption", "content", &[Values]),
    // A policy must raise an error and not hide rows, which would look like missing rows.
    set("row_security", "off", &[Catalog, Values, Query]),
    // No user's function or operator replaces PostgreSQL's, and names in answers have their schema.
    set("search_path", "pg_catalog", &[Catalog]),
    // The estimate of a catalog query exceeds the thresholds for compiling and optimising it, even with few stream tables.
    // With LLVM, that takes ten times as long as the query.
    set("jit", "off", &[Catalog]),
];

/// The SET LOCAL statements for this purpose, each with a semicolon at its end.
pub(super) fn local(purpose: Purpose) -> String {
    of(purpose).fold(String::new(), |mut sql, setting| {
        let _ = write!(sql, "set local {} = {}; ", setting.name, setting.value);
        sql
    })
}

/// The statements that reset them within the transaction, each with a semicolon at its end.
pub(super) fn reset(purpose: Purpose) -> String {
    of(purpose).fold(String::new(), |mut sql, setting| {
        let _ = write!(sql, "set local {} to default; ", setting.name);
        sql
    })
}

/// A statement that sets limits until the transaction ends, in milliseconds. Limits that the server does not know are left
/// out.
pub(super) fn limits(limits: &[(&str, u128)]) -> String {
    let values: Vec<String> = limits.iter().map(|(name, value)| format!("('{name}', '{value}ms')")).collect();
    format!(
        "select count(pg_catalog.set_config(name, value, true)) from (values {}) as wanted (name, value)
         join pg_catalog.pg_settings using (name)",
        values.join(", ")
    )
}

fn of(purpose: Purpose) -> impl Iterator<Item = &'static SessionSetting> {
    SETTINGS.iter().filter(move |setting| setting.purposes.contains(&purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_the_settings_of_its_database() {
        assert_eq!(local(Query), "set local row_security = off; ");
        assert_eq!(reset(Query), "set local row_security to default; ");
    }
}
