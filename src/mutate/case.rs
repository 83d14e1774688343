//! A finding as a case of its own: everything needed to reproduce it in an empty database, and how to reduce it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use super::{
    CaseTable, CaseView, Change, Needed, Pace, Partition, Row, Source,
    needed::{names, needed},
};
use crate::{model::Relation, sql::quote_identifier};

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub sources: Vec<Source>,
    /// The initial rows of each source.
    pub rows: Vec<Vec<Row>>,
    /// What the sources and queries need besides, older ones first.
    pub objects: Vec<Needed>,
    /// Further statements before the stream tables.
    pub others: Vec<String>,
    /// The views that the queries read, each after those that it reads.
    pub views: Vec<CaseView>,
    /// The stream tables, each after those it reads; the last one is the wrong one.
    pub tables: Vec<CaseTable>,
    /// Rounds of transactions of statements. After each round all tables are refreshed.
    pub rounds: Vec<Vec<Vec<Change>>>,
    /// How changes reach the tables.
    pub pace: Pace,
}

/// A statement of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// In the session of the case.
    Own(String),
    /// In a second session.
    Other(String),
}

/// The kinds of parts that can be removed from a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A stream table other than the wrong one, with its refreshes between transactions.
    Table,
    Round,
    Change,
    Row,
    /// A row of a statement, or a value that an UPDATE sets.
    Item,
    Column,
}

impl Part {
    /// All kinds, the largest reduction first.
    pub const ALL: [Self; 6] = [Self::Table, Self::Round, Self::Change, Self::Row, Self::Item, Self::Column];
}

impl Case {
    pub fn setup(&self) -> Vec<String> {
        let mut schemas: Vec<&str> =
            self.sources.iter().map(|source| source.relation.schema.as_str()).collect();
        schemas.extend(self.tables.iter().map(|table| table.relation.schema.as_str()));
        schemas.extend(self.created_partitions().map(|(_, partition)| partition.relation.schema.as_str()));
        schemas.sort_unstable();
        schemas.dedup();
        let schemas: Vec<String> = schemas
            .iter()
            .map(|schema| format!("create schema if not exists {}", quote_identifier(schema)))
            .collect();
        let mut statements = schemas.clone();
        let sources = self.sources_in_order();
        let created: Vec<Vec<String>> = sources.iter().map(|(at, _)| self.create(*at)).collect();
        let needed = needed(&self.objects, created.iter().flatten().chain(self.texts()));
        statements.extend(needed.into_iter().filter(|statement| !schemas.contains(statement)));
        for ((at, rows), create) in sources.into_iter().zip(created) {
            statements.extend(create);
            if !rows.is_empty() {
                statements.push(self.sources[at].insert(rows));
            }
        }
        statements.extend(self.others.iter().cloned());
        statements.extend(self.views_and_tables());
        statements.extend(self.pace.after_setup(&self.tables));
        statements
    }

    /// The statements that create the views and stream tables: a view before its first reader, since it may itself read a
    /// stream table.
    fn views_and_tables(&self) -> Vec<String> {
        let mut statements = Vec::new();
        let mut views: Vec<&CaseView> = self.views.iter().collect();
        for table in &self.tables {
            let (read, later): (Vec<_>, Vec<_>) =
                views.into_iter().partition(|view| view.readers.contains(&table.relation));
            statements.extend(read.iter().map(|view| view.sql.clone()));
            statements.push(table.sql(self.pace.schedule()));
            views = later;
        }
        statements
    }

    /// The texts that name what they read.
    fn texts(&self) -> impl Iterator<Item = &String> {
        let views = self.views.iter().map(|view| &view.sql);
        self.tables.iter().map(|table| &table.query).chain(views).chain(&self.others)
    }

    /// The statements of one round, with its refreshes.
    pub fn round(&self, round: &[Vec<Change>]) -> Vec<Statement> {
        let (own, other) = (Statement::Own, Statement::Other);
        let mut statements = Vec::new();
        let is_open = |transaction: &&Vec<Change>| transaction.iter().any(Change::is_open);
        let open: Vec<&Change> = round.iter().filter(is_open).flatten().collect();
        if !open.is_empty() {
            statements.push(other("begin".to_owned()));
            statements.extend(open.iter().map(|change| other(change.sql(&self.sources))));
        }
        let others = round.iter().filter(|transaction| !is_open(transaction));
        for transaction in others.filter(|transaction| !transaction.is_empty()) {
            let is_single = transaction.len() == 1 && !transaction[0].needs_transaction();
            let changes = transaction.iter().map(|change| own(change.sql(&self.sources)));
            statements.extend((!is_single).then(|| own("begin".to_owned())));
            statements.extend(changes);
            statements.extend((!is_single).then(|| own("commit".to_owned())));
        }
        if !open.is_empty() {
            statements.extend(self.pace.while_open(&self.tables).into_iter().map(own));
            statements.push(other("commit".to_owned()));
        }
        statements.extend(self.pace.after_changes(&self.tables).into_iter().map(own));
        statements
    }

    /// Whether a transaction of it stays open while others commit, which takes a second session.
    pub fn has_open(&self) -> bool {
        self.rounds.iter().flatten().flatten().any(Change::is_open)
    }

    /// The same case, with such transactions as ordinary ones, which commit before the others.
    #[must_use]
    pub fn closed(&self) -> Self {
        let mut case = self.clone();
        for transaction in case.rounds.iter_mut().flatten() {
            let closed = std::mem::take(transaction).into_iter().flat_map(Change::closed);
            transaction.extend(closed);
        }
        case
    }

    /// The statements that change rows; of more than `most` only the last, which says how many came before it.
    pub fn last_changes(&self, most: usize) -> Vec<String> {
        let changes: Vec<&Change> = self.rounds.iter().flatten().flatten().collect();
        let sql = |change: &&Change| change.sql(&self.sources);
        match changes.split_last() {
            Some((last, before)) if before.len() >= most => {
                vec![format!("after {} other changes: {}", before.len(), sql(last))]
            }
            _ => changes.iter().map(sql).collect(),
        }
    }

    /// The sources, each after those that it references.
    fn sources_in_order(&self) -> Vec<(usize, &Vec<Row>)> {
        let place: BTreeMap<&Relation, usize> =
            self.sources.iter().enumerate().map(|(at, source)| (&source.relation, at)).collect();
        let mut sorted: Vec<usize> = Vec::new();
        while sorted.len() < self.sources.len() {
            let is_ready = |at: &usize| {
                let targets =
                    self.sources[*at].references.iter().filter_map(|reference| place.get(&reference.target));
                !sorted.contains(at)
                    && targets.filter(|target| *target != at).all(|target| sorted.contains(target))
            };
            let left = |at: &usize| !sorted.contains(at);
            // A cycle of foreign keys: continue with any source.
            let Some(next) =
                (0..self.sources.len()).find(is_ready).or_else(|| (0..self.sources.len()).find(left))
            else {
                break;
            };
            sorted.push(next);
        }
        sorted.into_iter().map(|at| (at, &self.rows[at])).collect()
    }

    fn create(&self, at: usize) -> Vec<String> {
        let source = &self.sources[at];
        let column = |(at, column): (usize, &super::SourceColumn)| {
            let mut text = format!("{} {}", source.quoted(at), column.type_name);
            if let Some(collation) = &column.collation {
                let _ = write!(text, " collate {collation}");
            }
            match &column.generated {
                Some(expression) => drop(write!(text, " generated always as ({expression}) stored")),
                None if column.always => text.push_str(" generated always as identity"),
                None => {}
            }
            if column.not_null && !source.key.contains(&at) {
                text.push_str(" not null");
            }
            text
        };
        let mut parts: Vec<String> = source.columns.iter().enumerate().map(column).collect();
        if !source.key.is_empty() {
            let key: Vec<String> = source.key.iter().map(|at| source.quoted(*at)).collect();
            parts.push(format!("primary key ({})", key.join(", ")));
        }
        let is_here = |target: &Relation| self.sources.iter().any(|other| other.relation == *target);
        let references = source.references.iter().filter(|reference| is_here(&reference.target));
        parts.extend(references.map(|reference| reference.clause.clone()));
        let (indexes, clauses): (Vec<String>, Vec<String>) =
            source.rules.iter().cloned().partition(|rule| rule.starts_with("CREATE "));
        parts.extend(clauses);
        let name = source.relation.quoted();
        let mut create = format!("create table {name} (\n  {}\n)", parts.join(",\n  "));
        let mut statements = Vec::new();
        if let Some(by) = &source.partitioned {
            let _ = write!(create, " partition by {by}");
            statements.extend(self.partitions(at, by));
        }
        statements.insert(0, create);
        statements.extend(indexes);
        statements.extend(
            (self.pace.from_log && source.from_log)
                .then(|| format!("alter table {name} replica identity full")),
        );
        statements
    }

    /// The statements that create the partitions of a source: those that change, and one for all other rows.
    fn partitions(&self, at: usize, by: &str) -> Vec<String> {
        let relation = &self.sources[at].relation;
        let create = |part: &Relation, bound: &str| {
            format!("create table {} partition of {} {bound}", part.quoted(), relation.quoted())
        };
        let changed: Vec<&Partition> =
            self.created_partitions().filter(|(of, _)| *of == at).map(|(_, partition)| partition).collect();
        let rest = Relation::new(&relation.schema, format!("{}_rest", relation.name));
        let rest = match by.starts_with("HASH") {
            true if changed.is_empty() => Some(create(&rest, "for values with (modulus 1, remainder 0)")),
            false if changed.iter().all(|part| part.bound != "DEFAULT") => Some(create(&rest, "default")),
            _ => None,
        };
        changed.iter().map(|part| create(&part.relation, &part.bound)).chain(rest).collect()
    }

    /// The partitions that a change names, each with the position of its source. All partitions of a hash, which has no
    /// default.
    fn created_partitions(&self) -> impl Iterator<Item = (usize, &Partition)> {
        let changes: Vec<&Change> = self.rounds.iter().flatten().flatten().collect();
        let is_named = move |source: usize, number: usize, is_hash: bool| {
            changes.iter().any(|change| {
                matches!(change, Change::Partition { source: of, partition, .. }
                    if *of == source && (is_hash || *partition == number))
            })
        };
        self.sources.iter().enumerate().flat_map(move |(at, source)| {
            let is_hash = source.partitioned.as_ref().is_some_and(|by| by.starts_with("HASH"));
            let is_named = is_named.clone();
            let all = source.partitions.iter().enumerate();
            all.filter(move |(number, _)| is_named(at, *number, is_hash))
                .map(move |(_, partition)| (at, partition))
        })
    }

    /// The number of parts of this kind.
    pub fn count(&self, part: Part) -> usize {
        match part {
            Part::Table => self.tables.len().saturating_sub(1),
            Part::Round => self.rounds.len(),
            Part::Change => self.rounds.iter().flatten().map(Vec::len).sum(),
            Part::Row => self.rows.iter().map(Vec::len).sum(),
            Part::Item => self.rounds.iter().flatten().flatten().map(Change::items).sum(),
            Part::Column => self.sources.iter().map(|source| source.columns.len()).sum(),
        }
    }

    /// The same case without some of its parts, numbered from its beginning; `None` if they cannot be removed.
    #[must_use]
    pub fn without(&self, part: Part, removed: &Range<usize>) -> Option<Self> {
        let mut case = self.clone();
        let mut number = 0..;
        let mut keeps = || !number.next().is_some_and(|number: usize| removed.contains(&number));
        match part {
            Part::Table => {
                let last = case.tables.len().saturating_sub(1);
                let kept: Vec<Relation> = case.tables[..last]
                    .iter()
                    .filter(|_| keeps())
                    .chain(case.tables.last())
                    .map(|table| table.relation.clone())
                    .collect();
                case.keep_tables(&kept);
            }
            Part::Round => case.rounds.retain(|_| keeps()),
            Part::Change => case.rounds.iter_mut().flatten().for_each(|changes| changes.retain(|_| keeps())),
            Part::Row => case.rows.iter_mut().for_each(|rows| rows.retain(|_| keeps())),
            Part::Item => {
                for change in case.rounds.iter_mut().flatten().flatten() {
                    change.retain_items(&mut keeps);
                }
            }
            Part::Column => {
                for at in 0..case.sources.len() {
                    let kept: Vec<bool> = case.sources[at].columns.iter().map(|_| keeps()).collect();
                    if !case.keep_columns(at, &kept) {
                        return None;
                    }
                }
            }
        }
        case.tidy();
        (case != *self).then_some(case)
    }

    /// Removes the other stream tables, the views that only they read, and the refreshes of both between changes.
    pub fn keep_tables(&mut self, kept: &[Relation]) {
        self.tables.retain(|table| kept.contains(&table.relation));
        self.views.retain(|view| view.readers.iter().any(|reader| kept.contains(reader)));
        let is_there = |relation: &Relation| {
            kept.contains(relation) || self.views.iter().any(|view| view.relation == *relation)
        };
        let is_kept = |change: &Change| change.refreshed().is_none_or(is_there);
        self.rounds.iter_mut().flatten().for_each(|changes| changes.retain(is_kept));
        self.tidy();
    }

    /// The same case without the columns that no query, view or key mentions; `None` if there are none.
    #[must_use]
    pub fn without_unread_columns(&self) -> Option<Self> {
        let read: BTreeSet<String> = self.texts().flat_map(|text| names(text)).collect();
        let mut case = self.clone();
        for at in 0..case.sources.len() {
            let source = &case.sources[at];
            let is_kept = |place: usize| source.is_fixed(place) || read.contains(&source.columns[place].name);
            let kept: Vec<bool> = (0..source.columns.len()).map(is_kept).collect();
            case.keep_columns(at, &kept);
        }
        case.tidy();
        (case != *self).then_some(case)
    }

    /// Removes empty statements and transactions.
    fn tidy(&mut self) {
        for round in &mut self.rounds {
            for transaction in &mut *round {
                transaction.retain(|change| !change.is_empty());
            }
            round.retain(|transaction| !transaction.is_empty());
        }
    }

    /// Removes columns from a source, its rows and its statements. False, and nothing is removed, if that would remove a
    /// column of its keys, all columns, or all that an upsert sets.
    fn keep_columns(&mut self, at: usize, kept: &[bool]) -> bool {
        if kept.iter().all(|kept| *kept) {
            return true;
        }
        let source = &self.sources[at];
        let is_kept = |column: &usize| kept[*column];
        if (0..kept.len()).any(|column| source.is_fixed(column) && !kept[column]) || !kept.contains(&true) {
            return false;
        }
        // An upsert needs a column that it sets.
        let mut changes = self.rounds.iter().flatten().flatten().filter(|change| change.source() == at);
        if !source.upserted().any(|column| kept[column]) && changes.any(Change::upserts) {
            return false;
        }
        let source = &mut self.sources[at];
        let place = |column: usize| kept[..column].iter().filter(|kept| **kept).count();
        source.key.iter_mut().chain(&mut source.partition_key).for_each(|column| *column = place(*column));
        source.references.retain(|reference| reference.columns.iter().all(is_kept));
        for reference in &mut source.references {
            reference.columns.iter_mut().for_each(|column| *column = place(*column));
        }
        let mut keeps = kept.iter();
        source.columns.retain(|_| *keeps.next().unwrap_or(&true));
        self.rows[at].iter_mut().for_each(|row| keep_values(row, kept));
        for change in self.rounds.iter_mut().flatten().flatten().filter(|change| change.source() == at) {
            change.keep_columns(kept);
        }
        true
    }
}

impl Source {
    /// Whether the table needs this column: its primary key and its partitions.
    fn is_fixed(&self, column: usize) -> bool {
        self.key.contains(&column) || self.partition_key.contains(&column)
    }
}

/// The row without the values of removed columns.
pub(super) fn keep_values(row: &mut Row, kept: &[bool]) {
    let mut keeps = kept.iter();
    row.retain(|_| *keeps.next().unwrap_or(&true));
}

#[cfg(test)]
mod tests {
    use super::{
        super::{row, sample},
        *,
    };

    fn own(text: &str) -> Statement {
        Statement::Own(text.to_owned())
    }

    fn case() -> Case {
        let update = Change::Update {
            source: 0,
            set: vec![(1, Some("2".into())), (2, Some("it's".into()))],
            of: vec![row(&["1", "1", "a"])],
        };
        let insert = Change::Insert { source: 1, rows: vec![row(&["3", "Eve"]), row(&["4", "NULL"])] };
        Case {
            sources: sample(),
            rows: vec![
                vec![row(&["1", "1", "a"]), row(&["2", "2", "b"])],
                vec![row(&["1", "Ada"]), row(&["2", "Bob"])],
            ],
            objects: vec![],
            others: vec![],
            views: vec![],
            tables: vec![CaseTable {
                relation: Relation::new("marts", "totals"),
                query: "select customer, count(*) as n from shop.orders group by customer".into(),
                mode: "DIFFERENTIAL".into(),
                arguments: vec![],
            }],
            rounds: vec![vec![vec![insert]], vec![vec![update, Change::Truncate { source: 1 }]]],
            pace: Pace::default(),
        }
    }

    #[test]
    fn a_table_is_created_after_those_that_it_references() {
        let setup = case().setup().join(";\n");
        let place = |text: &str| setup.find(text).unwrap_or_else(|| panic!("{text} is not in {setup}"));
        assert!(place(r#"create table "shop"."customers""#) < place(r#"create table "shop"."orders""#));
        assert!(place(r#"insert into "shop"."orders""#) < place("create_stream_table('marts.totals'"));
    }

    #[test]
    fn a_round_ends_with_a_refresh_and_two_statements_are_a_transaction() {
        let case = case();
        assert_eq!(
            case.round(&case.rounds[1]),
            [
                "begin",
                r#"update "shop"."orders" set "customer" = 2, "note" = 'it''s' where "id" = 1"#,
                r#"truncate "shop"."customers""#,
                "commit",
                "select pgtrickle.refresh_stream_table('marts.totals')",
            ]
            .map(own)
        );
    }

    #[test]
    fn an_open_transaction_begins_before_the_others_of_its_round_and_commits_after_them() {
        let mut case = case();
        let insert = |source, values: &[&str]| Change::Insert { source, rows: vec![row(values)] };
        let open = |change: Change| Change::Open { source: change.source(), changes: vec![change] };
        let statements = [insert(1, &["5", "Zoe"]), insert(0, &["9", "1", "b"])];
        case.rounds = vec![vec![statements.clone().map(open).to_vec(), vec![insert(1, &["6", "Tom"])]]];
        let other = |text: &str| Statement::Other(text.to_owned());
        let refreshed = own("select pgtrickle.refresh_stream_table('marts.totals')");
        assert_eq!(
            case.round(&case.rounds[0]),
            [
                other("begin"),
                other(r#"insert into "shop"."customers" ("id", "name") values (5, 'Zoe')"#),
                other(r#"insert into "shop"."orders" ("id", "customer", "note") values (9, 1, 'b')"#),
                own(r#"insert into "shop"."customers" ("id", "name") values (6, 'Tom')"#),
                refreshed.clone(),
                other("commit"),
                refreshed,
            ]
        );
        assert!(case.has_open() && !case.closed().has_open());
        assert_eq!(case.closed().rounds[0][0], statements);
        assert_eq!(case.count(Part::Item), 3);
    }

    #[test]
    fn every_part_except_a_key_can_be_removed() {
        let whole = case();
        for part in Part::ALL {
            match whole.without(part, &(0..1)) {
                Some(less) => assert!(less.count(part) < whole.count(part), "{part:?}"),
                None => assert!([Part::Table, Part::Column].contains(&part)),
            }
        }
    }

    #[test]
    fn a_round_without_statements_still_refreshes() {
        let less = case().without(Part::Item, &(0..2)).unwrap();
        assert_eq!(less.rounds.len(), 2);
        let refresh = own("select pgtrickle.refresh_stream_table('marts.totals')");
        assert_eq!(less.round(&less.rounds[0]), [refresh]);
    }

    #[test]
    fn a_column_is_removed_from_the_table_its_rows_and_its_statements() {
        let less = case().without_unread_columns().unwrap();
        let setup = less.setup().join(";\n");
        assert!(!setup.contains("note") && !setup.contains("name"), "{setup}");
        assert!(setup.contains("FOREIGN KEY (customer)"), "{setup}");
        let round = less.round(&less.rounds[1]);
        assert_eq!(round[1], own(r#"update "shop"."orders" set "customer" = 2 where "id" = 1"#));
        assert_eq!(less.without_unread_columns(), None);
    }

    #[test]
    fn an_upsert_keeps_the_columns_that_no_query_reads() {
        let ada = || vec![row(&["1", "Ada"])];
        let mut whole = case();
        let upsert = Change::Upsert { source: 1, rows: ada() };
        let update = Change::Update { source: 1, set: vec![(1, Some("Eve".into()))], of: ada() };
        whole.rounds = vec![vec![vec![Change::Insert { source: 1, rows: ada() }, upsert, update]]];
        let less = whole.without_unread_columns().unwrap();
        assert_eq!(less.sources[1], whole.sources[1]);
        assert_eq!((&less.rows[1], &less.rounds), (&whole.rows[1], &whole.rounds));
    }
}
