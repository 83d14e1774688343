//! The software of a server: which versions this project knows, and what not every version can do.
//!
//! Columns that some versions lack are read from the row as JSON, and arguments of functions are settings
//! ([`Setting::since`](super::Setting::since)). Whatever else some versions lack is in [`OPTIONAL`].

use std::fmt;

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// PostgreSQL's version, such as `18.4`.
    pub postgres: String,
    /// The extension's version, such as `0.67.0` or `0.67.0-emulator`.
    pub pg_trickle: String,
}

impl Engine {
    /// Whether it is this project's emulator and not pg_trickle.
    pub fn is_emulator(&self) -> bool {
        self.pg_trickle.ends_with("-emulator")
    }

    /// The engine in one line, for every report.
    pub fn describe(&self) -> String {
        let what = if self.is_emulator() { "the pg_trickle emulator" } else { "pg_trickle" };
        format!("{what} {} on PostgreSQL {}", self.pg_trickle, self.postgres)
    }
}

/// The versions on which docs/pg_trickle.md was observed.
pub const TRIED: [Version; 3] = [Version(0, 40, 0), Version(0, 55, 0), NEWEST_TRIED];

/// The newest of them, whose bugs are known.
pub const NEWEST_TRIED: Version = Version(0, 67, 0);

/// The first version whose scheduler compares materialized views with copies of them, where the server says so.
pub const POLLS_SNAPSHOTS: Version = Version(0, 108, 1);

/// The first version in which cleaning and compacting change buffers loses no changes.
pub const KEEPS_BUFFERED_CHANGES: Version = Version(0, 108, 1);

/// A version of pg_trickle. What can be asked of the server's catalog is asked there; the number is only for behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `0.67.0` and `0.67.0-emulator`.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, _) = text.split_once('-').unwrap_or((text, ""));
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// Whether this project was tried on the version, whatever its patch level.
    pub fn is_tried(self) -> bool {
        TRIED.iter().any(|tried| self.is_patch_of(*tried))
    }

    /// Whether the version's bugs are known.
    pub fn is_known(self) -> bool {
        self.is_patch_of(NEWEST_TRIED)
    }

    fn is_patch_of(self, other: Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A part of a catalog query that asks for an object which not every version has.
#[derive(Clone, Copy, Debug)]
pub struct OptionalPart {
    /// Its place in the queries.
    pub placeholder: &'static str,
    /// The relation, or the function with the types of its arguments.
    pub object: &'static str,
    /// The expression where the object exists; elsewhere it is null.
    pub expression: &'static str,
}

/// What the catalog queries ask for only where it exists.
pub const OPTIONAL: [OptionalPart; 3] = [
    // Since pg_trickle 0.92.
    OptionalPart {
        placeholder: "$instance",
        object: "pgtrickle.pgt_capture_instance",
        expression: "(select to_jsonb(i) from pgtrickle.pgt_capture_instance as i)",
    },
    // Since pg_trickle 0.92.
    OptionalPart {
        placeholder: "$recovery",
        object: "pgtrickle.validate_recovery()",
        expression: "pgtrickle.validate_recovery()",
    },
    // About the relation r, in a database with Citus.
    OptionalPart {
        placeholder: "$citus",
        object: "pg_catalog.pg_dist_partition",
        expression: "(select case when p.partmethod <> 'n' or p.repmodel <> 't' and p.colocationid > 0 then 'is distributed by Citus'
            when p.repmodel = 't' then 'is a reference table of Citus' end
            from pg_catalog.pg_dist_partition as p where p.logicalrelid = r.oid)",
    },
];

/// The query with its optional parts, for a server that has these objects.
pub fn with_optional_parts(sql: &str, objects: &[String]) -> String {
    OPTIONAL.iter().fold(sql.to_owned(), |sql, part| {
        let exists = objects.iter().any(|object| object == part.object);
        sql.replace(part.placeholder, if exists { part.expression } else { "null" })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_only_for_what_the_server_has() {
        let has = ["pgtrickle.pgt_capture_instance".to_owned()];
        let sql = with_optional_parts("select $instance, $citus", &has);
        assert!(sql.starts_with("select (select to_jsonb(i)") && sql.ends_with(", null"), "{sql}");
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("0.108.3") > version("0.87.17") && version("0.87.17") > version("0.87.9"));
        assert!(version("0.67.4-emulator").is_known() && !version("0.68.0").is_tried());
        assert!(version("0.55.1").is_tried() && !version("0.55.1").is_known());
        for text in ["", "0.67", "0.67.x", "0.67.0.1", "next"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
