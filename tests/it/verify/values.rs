//! Rows read as text and written from it are the same rows, whatever the settings of the database.

use std::{collections::BTreeSet, time::Duration};

use pgtrickle_ci::{
    model::Relation,
    mutate::Change,
    pg::{Changed, Client, Limits},
};

use super::create;
use crate::support::Database;

/// Values of every base type that a column can have.
const VALUES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("int2", &["-32768", "0", "32767"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("numeric", &["NaN", "Infinity", "-Infinity", "0.000", "-1e-30", "123456789012345678901234567890.5"]),
    ("float4", &["-0", "NaN", "Infinity", "-Infinity", "0.1", "1e-45", "3.4028235e38", "16777217"]),
    (
        "float8",
        &[
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.1",
            "4.9e-324",
            "1.7976931348623157e308",
            "0.30000000000000004",
        ],
    ),
    ("money", &["-92233720368547758.08", "0", "1234.56", "-0.01"]),
    ("text", &["", " ", "it's", "x\\y", "NULL", "ä\n\t\"", "{a,b}", "$$"]),
    ("varchar", &["a ", "\\", "ß"]),
    ("bpchar", &["a", "'"]),
    ("name", &["a", "weird \"name\""]),
    ("\"char\"", &["a", "\\200", ""]),
    ("bytea", &["\\x", "\\x00ff5c27", "\\xdeadbeef"]),
    ("date", &["infinity", "-infinity", "0044-03-15 BC", "2024-02-29", "5874897-12-31", "2024-01-02"]),
    ("time", &["00:00:00", "24:00:00", "23:59:59.999999"]),
    ("timetz", &["00:00:00+15:59:59", "24:00:00-15:59", "12:34:56.000001+00"]),
    (
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "2024-01-02 03:04:05.000001",
        ],
    ),
    (
        "timestamptz",
        &[
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00+00 BC",
            "1800-01-01 00:00:00+00",
            "2024-01-02 03:04:05.000001+05:45",
        ],
    ),
    (
        "interval",
        &[
            "1 year -3 days +04:05:06.7",
            "-1 mons +2 days -00:00:00.000001",
            "00:00:00",
            "infinity",
            "-infinity",
            "178000000 years",
        ],
    ),
    ("bit(5)", &["00000", "10101"]),
    ("varbit", &["", "1", "0101010101010101010"]),
    ("uuid", &["00000000-0000-4000-8000-0000000000ff"]),
    ("json", &["{\"a\":  1, \"a\": 2}", "null", "\"\\u0041\\n\""]),
    ("jsonb", &["{\"a\": 1e2}", "[]", "\"\\\\\""]),
    ("jsonpath", &["$.a ? (@ > 1)", "strict $[*]"]),
    ("xml", &["<a>1 &amp; 2</a>", "only text", "<a/><b/>"]),
    ("inet", &["127.0.0.1/8", "::1", "10.0.0.1"]),
    ("cidr", &["10.0.0.0/8", "2001:db8::/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("point", &["(0.1,-0)", "(NaN,Infinity)"]),
    ("lseg", &["[(0,0.1),(1e-300,2)]"]),
    ("line", &["{1,-1,0.1}"]),
    ("box", &["(1,1),(0.1,0)"]),
    ("path", &["((0,0),(1,0.1))", "[(0,0),(1,1)]"]),
    ("polygon", &["((0,0),(1,0.1),(1,1))"]),
    ("circle", &["<(0.1,0),2>"]),
    ("tsvector", &["'a':1A 'it''s':2 'x\\\\y':3"]),
    ("tsquery", &["'a' & !( 'b' | 'c' )", "'a':*"]),
    ("oid", &["0", "4294967295"]),
    ("xid", &["0", "4294967295"]),
    ("xid8", &["18446744073709551615"]),
    ("cid", &["7"]),
    ("tid", &["(1,2)"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    ("refcursor", &["a cursor"]),
    ("oidvector", &["", "1 2 3"]),
    ("int2vector", &["", "1 -2 3"]),
    ("regclass", &["pg_class", "pg_catalog.pg_type"]),
    ("regcollation", &["\"C\""]),
    ("regconfig", &["simple"]),
    ("regdictionary", &["simple"]),
    ("regnamespace", &["pg_catalog"]),
    ("regoper", &["||/"]),
    ("regoperator", &["+(integer,integer)"]),
    ("regproc", &["now"]),
    ("regprocedure", &["abs(integer)"]),
    ("regrole", &["pg_monitor"]),
    ("regtype", &["integer", "text[]"]),
    ("float8[]", &["{0.1,-0,NaN,NULL,Infinity}", "{}", "{{0.1,0.2},{0.3,0.30000000000000004}}"]),
    ("text[]", &["{\"\",NULL,\"NULL\",\"a,b\",\"it's\",\"x\\\\y\"}"]),
    ("interval[]", &["{\"1 year -3 days +04:05:06.7\",-00:00:01}"]),
    ("int4range", &["empty", "[1,5)", "(,)"]),
    ("numrange", &["[0.1,)", "(,NaN]"]),
    ("tstzrange", &["[\"2024-01-02 03:04:05+00\",infinity)"]),
    ("tsrange", &["[-infinity,\"2024-01-02 03:04:05\")"]),
    ("daterange", &["[\"0044-03-15 BC\",2024-01-02)"]),
    ("int8range", &["[1,5)"]),
    ("int4multirange", &["{[1,2),[4,5)}", "{}"]),
];

/// Types whose input functions take nothing: no row holds a value that a client wrote.
const UNWRITABLE: &[&str] = &[
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "gtsvector",
    // It has no binary form. Its text is compared instead.
    "aclitem",
];

fn client(runtime: &tokio::runtime::Runtime, database: &Database) -> Client {
    let second = Duration::from_secs(30);
    let limits = Limits { connect: second, statement: second, lock: second };
    runtime.block_on(Client::connect(&database.endpoint, limits)).unwrap()
}

/// Settings under which values lose something, or are read as others.
fn hostile(database: &Database) {
    for setting in [
        "extra_float_digits = -15",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "array_nulls = off",
        "xmloption = 'document'",
        "timezone = 'Asia/Kathmandu'",
        "default_transaction_read_only = on",
        "search_path = ''",
    ] {
        database.run(&format!("alter database {} set {setting}", database.endpoint.database));
    }
}

#[test]
fn a_value_of_every_type_is_written_as_it_was_read() {
    let database = Database::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let libxml = "select setting like '%with-libxml%' from pg_config where name = 'CONFIGURE'";
    let has_xml = database.value(libxml).as_deref() == Some("t");
    let values: Vec<_> = VALUES.iter().filter(|(name, _)| *name != "xml" || has_xml).collect();
    let columns: Vec<String> =
        values.iter().enumerate().map(|(nth, (name, _))| format!("c{nth} {name}")).collect();
    database.run(&format!("create table every (id int primary key, {})", columns.join(", ")));
    let rows = values.iter().map(|(_, values)| values.len()).max().unwrap();
    for row in 0..rows {
        let literal = |(_, values): &&(&str, &[&str])| {
            format!("E'{}'", values[row % values.len()].replace('\\', "\\\\").replace('\'', "''"))
        };
        let literals: Vec<String> = values.iter().map(literal).collect();
        database.run(&format!("insert into every values ({row}, {})", literals.join(", ")));
    }
    create(&database, "reader", "select id from public.every", "DIFFERENTIAL");
    database.run("create table kept as table every");
    hostile(&database);
    let client = client(&runtime, &database);
    runtime.block_on(async {
        let sources = client.sources(&std::collections::BTreeMap::new(), false).await.unwrap();
        let (read, _) = client.known_rows(&sources[0]).await.unwrap();
        assert_eq!(read.len(), rows);
        client.run("begin read write").await.unwrap();
        for change in
            [Change::Delete { source: 0, of: read.clone() }, Change::Insert { source: 0, rows: read.clone() }]
        {
            match client.change(&change, &sources).await.unwrap() {
                Changed::Done(effect) => assert_eq!(effect.rows.len(), rows),
                Changed::Refused(message) => panic!("{message}"),
            }
        }
        client.run("commit").await.unwrap();
    });
    for (nth, (name, _)) in values.iter().enumerate() {
        let differs = format!(
            "select count(*) from every as e join kept as k using (id) where record_send(row(e.c{nth})) <> record_send(row(k.c{nth}))"
        );
        assert_eq!(database.value(&differs).as_deref(), Some("0"), "{name}");
    }
}

#[test]
fn every_type_of_the_server_is_tested() {
    let database = Database::new();
    let listed = "select string_agg(typname, ',') from pg_type
                  where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typcategory <> 'A' and typisdefined";
    let known = |name: &str| {
        let sql = format!("select typname from pg_type where oid = '{name}'::regtype");
        database.value(&sql).unwrap()
    };
    let known: BTreeSet<String> = VALUES
        .iter()
        .map(|(name, _)| known(name))
        .chain(UNWRITABLE.iter().map(|name| (*name).to_owned()))
        .collect();
    let missing: Vec<String> = database
        .value(listed)
        .unwrap()
        .split(',')
        .filter(|name| !known.contains(*name))
        .map(str::to_owned)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Values that a person would hardly think of, of the types that are rounded or written in several ways.
#[test]
fn random_values_are_written_as_they_were_read() {
    let database = Database::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    database.run(
        "select setseed(0.5);
         create table every (id int primary key, f float8, r real, i interval, t timestamptz, d date, m money, b varbit, y bytea, n numeric);
         insert into every
         select n, (random() - 0.5) * 10 ^ (random() * 600 - 300)::int, ((random() - 0.5) * 10 ^ (random() * 70 - 35)::int)::real,
           make_interval((random() * 99 - 50)::int, (random() * 30 - 15)::int, 0, (random() * 90 - 45)::int, (random() * 90 - 45)::int, 0, random() * 1000 - 500),
           to_timestamp(random() * 8e10 - 6e10), date '4713-11-25 BC' + (random() * 3e6)::int, ((random() - 0.5) * 1e14)::numeric::money,
           substr(((random() * 9e17)::int8)::bit(64)::text, 1, (random() * 64)::int)::varbit, decode(md5(n::text), 'hex'), random()::numeric * 10 ^ (random() * 60 - 30)::int
         from generate_series(1, 2000) as n",
    );
    create(&database, "reader", "select id from public.every", "DIFFERENTIAL");
    hostile(&database);
    let client = client(&runtime, &database);
    runtime.block_on(async {
        let every = Relation::new("public", "every");
        let before = client.contents(&every).await.unwrap();
        let sources = client.sources(&std::collections::BTreeMap::new(), false).await.unwrap();
        let (read, _) = client.known_rows(&sources[0]).await.unwrap();
        client.run("begin read write; delete from public.every").await.unwrap();
        for rows in read.chunks(500) {
            let change = Change::Insert { source: 0, rows: rows.to_vec() };
            assert!(matches!(client.change(&change, &sources).await.unwrap(), Changed::Done(_)));
        }
        client.run("commit").await.unwrap();
        assert_eq!(client.contents(&every).await.unwrap(), before);
    });
}

#[test]
fn the_checksum_of_a_table_covers_every_bit_of_every_column() {
    let database = Database::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    database.run(
        "create table parent (id int primary key, t text, pgtickle text, zero float8); create table child () inherits (parent);
         insert into parent values (1, 'a', 'b', 0); insert into child values (2, 'a', 'b', 0);
         create table rights (id int, right_of aclitem); insert into rights values (1, 'postgres=r/postgres')",
    );
    let client = client(&runtime, &database);
    let sum = |name: &str| runtime.block_on(client.contents(&Relation::new("public", name))).unwrap();
    let mut before = sum("parent");
    for change in [
        "update only parent set t = 'c'",
        "update only parent set id = 5",
        "update only parent set zero = '-0'",
        "update only parent set t = null",
    ] {
        database.run(change);
        let now = sum("parent");
        assert_ne!(now, before, "{change}");
        before = now;
    }
    database.run("update child set t = 'c'");
    assert_eq!(sum("parent"), before);
    let before = sum("rights");
    assert!(before.as_text);
    database.run("update rights set id = 2");
    assert_ne!(sum("rights"), before);
}
