//! Every type that a column can have: a source of it gets new values, is emptied, and comes back.

use std::{collections::BTreeSet, fs, time::Duration};

use pgtrickle_ci::{
    mutate::{Change, Mutator, Source, SourceColumn},
    pg::{Changed, Client, Limits},
};
use serde_json::Value;

use super::{create, outcome, verify, verify_in, with_time};
use crate::support::Database;

/// Types whose input functions take nothing: a client cannot write a value of them.
const UNWRITABLE: &str =
    "'pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list', 'pg_brin_bloom_summary',
    'pg_brin_minmax_multi_summary', 'gtsvector'";

/// For each type of the server and each form of it (`t`, an array, a domain over a domain, a row) a column that is
/// `NOT NULL`, and one that is in a key: types tell rows apart each in a table of its own, the other forms several to a
/// key. One stream table reads the tables.
const TABLES_OF_ALL_TYPES: &str = "
    create type mood as enum ('sad', 'it''s', 'glad');
    create type spans as range (subtype = interval);
    create type words as range (subtype = text, collation = \"C\");
    create table made_tables (name text);
    create procedure make_keyed(name text, keys text[]) language plpgsql as $$
    declare
      names text := (select string_agg(split_part(key, ' ', 1), ', ') from unnest(keys) as key);
    begin
      call make(name, array_to_string(keys, ', ') || ', primary key (' || names || ')');
    end $$;
    create function can_be(form text, key text) returns boolean language plpgsql as $$
    begin
      execute format('create temporary table probe (c %s not null, %s)', form, key);
      drop table probe;
      return true;
    exception when others then
      return false;
    end $$;
    create procedure make(name text, columns text) language plpgsql as $$
    begin
      execute format('create table %s (n int, %s)', name, columns);
      insert into made_tables values (name);
    end $$;
    do $$
    declare
      t record; form record; plain text[] := '{}'; keys text[] := '{}'; nth int := 0;
    begin
      for t in
        select row_number() over (order by oid) as nth, oid::regtype::text as name
        from pg_type
        where typisdefined and typtype in ('b', 'd', 'e', 'r', 'm') and typcategory <> 'A'
          and typnamespace in ('pg_catalog'::regnamespace, 'public'::regnamespace, 'information_schema'::regnamespace)
          and typname not in (UNWRITABLE)
          and (typname <> 'xml' or (select setting like '%with-libxml%' from pg_config where name = 'CONFIGURE'))
      loop
        execute format('create domain inner_%1$s as %2$s; create domain outer_%1$s as inner_%1$s; create type row_%1$s as (a %2$s, n int)', t.nth, t.name);
        for form in
          select f.name, format('c_%s_%s', short, t.nth) as column_name, short = 't' as is_type
          from (values ('t', t.name), ('a', t.name || '[]'), ('d', 'outer_' || t.nth), ('r', 'row_' || t.nth)) as f (short, name)
        loop
          plain := plain || format('%s %s not null', form.column_name, form.name);
          if can_be(t.name, 'primary key (c)') and can_be(form.name, 'primary key (c)') then
            if form.is_type then
              call make('k_' || t.nth, format('%s %s primary key', form.column_name, form.name));
            else
              keys := keys || format('%s %s', form.column_name, form.name);
            end if;
          elsif form.is_type and can_be(t.name, 'exclude using hash (c with =)') then
            call make('k_' || t.nth, format('%1$s %2$s not null, exclude using hash (%1$s with =)', form.column_name, form.name));
          end if;
        end loop;
        if cardinality(keys) >= 6 then
          call make_keyed('keys_' || t.nth, keys);
          keys := '{}';
        end if;
        if cardinality(plain) >= 16 then
          call make('n_' || t.nth, array_to_string(plain, ', '));
          plain := '{}';
        end if;
      end loop;
      call make_keyed('keys_rest', keys || '{more int}');
      call make('n_rest', array_to_string(plain || '{more int}', ', '));
      execute format('select pgtrickle.create_stream_table(%L, %L, %L, %L)', 'public.reader',
        (select string_agg('select count(*) from public.' || name, ' union all ') from made_tables), '1h', 'FULL');
    end $$";

fn client(runtime: &tokio::runtime::Runtime, database: &Database) -> Client {
    let minute = Duration::from_mins(1);
    let limits = Limits { connect: minute, statement: minute, lock: minute };
    runtime.block_on(Client::connect(&database.endpoint, limits)).unwrap()
}

/// Makes so many changes of a source and notes which values each of its columns had; the answer is how many were taken.
async fn changed(
    client: &Client,
    mutator: &mut Mutator,
    sources: &[Source],
    at: usize,
    times: usize,
    values: &mut [BTreeSet<String>],
) -> usize {
    let mut taken = 0;
    mutator.begin_round(&[at]);
    for _ in 0..times {
        let Some(change) = mutator.change() else { continue };
        match client.change(&change, sources).await.unwrap() {
            Changed::Refused(message) => mutator.refused(&change, message.constraint.as_deref()),
            Changed::Done(effect) => {
                let effect =
                    if matches!(change, Change::Truncate { .. }) { mutator.emptied(at) } else { effect };
                taken += usize::from(!effect.rows.is_empty());
                for row in effect.rows.iter().filter_map(|(_, after)| after.as_ref()) {
                    for (values, value) in values.iter_mut().zip(row) {
                        values.extend(value.clone());
                    }
                }
                mutator.taken(&change);
                mutator.saw(&effect);
            }
        }
    }
    taken
}

/// The columns of a source whose types are looked at, each with its values.
fn looked_at<'a>(
    source: &'a Source,
    values: &'a [BTreeSet<String>],
) -> impl Iterator<Item = (&'a SourceColumn, &'a BTreeSet<String>)> {
    source.columns.iter().zip(values).filter(|(column, _)| column.name.starts_with("c_"))
}

#[test]
fn columns_of_every_type_get_new_values_and_a_truncated_source_is_refilled() {
    let database = Database::new();
    database.run(&TABLES_OF_ALL_TYPES.replace("UNWRITABLE", UNWRITABLE));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = client(&runtime, &database);
    let (mut wrong, mut keys, mut plain) = (Vec::new(), 0, 0);
    runtime.block_on(async {
        let mut sources = client.sources(&std::collections::BTreeMap::new(), false).await.unwrap();
        let known = vec![(Vec::new(), true); sources.len()];
        client.supply(&mut sources, &known).await.unwrap();
        let mut mutator = Mutator::new(5, sources.clone(), known, true);
        for (at, source) in sources.iter().enumerate() {
            client.run("begin").await.unwrap();
            let (mut taken, mut values) = (0, vec![BTreeSet::new(); source.columns.len()]);
            for _ in 0..20 {
                taken += changed(&client, &mut mutator, &sources, at, 10, &mut values).await;
                // A row of the two booleans and three moods is no more than that.
                if taken >= 5 && looked_at(source, &values).all(|(_, values)| values.len() > 1) {
                    break;
                }
            }
            if taken < 5 {
                wrong.push(format!("{}: {taken} taken", source.relation));
            }
            for (column, values) in looked_at(source, &values).filter(|(_, values)| values.len() < 2) {
                wrong.push(format!("{} {}: {values:?}", source.relation, column.type_name));
            }
            let empty = Change::Truncate { source: at };
            assert!(matches!(client.change(&empty, &sources).await.unwrap(), Changed::Done(_)));
            let gone = mutator.emptied(at);
            mutator.saw(&gone);
            if changed(&client, &mut mutator, &sources, at, 6, &mut values).await == 0 {
                wrong.push(format!("{}: it stays empty", source.relation));
            }
            client.run("rollback").await.unwrap();
            let columns = looked_at(source, &values).count();
            if source.relation.name.starts_with('k') { keys += columns } else { plain += columns }
        }
    });
    assert!(wrong.is_empty(), "{} are hardly changed:\n{}", wrong.len(), wrong.join("\n"));
    assert!(keys > 250 && plain > 300, "{keys} of keys, {plain} others");
}

/// The line of a source in the coverage of a report.
#[track_caller]
fn coverage(report: &Value, source: &str) -> String {
    let details = outcome(report, "verify", "rounds")["details"].as_array().unwrap();
    let line = details.iter().filter_map(Value::as_str).find(|line| line.starts_with(&format!("{source}: ")));
    line.unwrap_or_else(|| panic!("no coverage of {source} in {report:#}")).to_owned()
}

#[track_caller]
fn rounds(line: &str) -> usize {
    let (_, rest) = line.split_once(": ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn coverage_counts_rounds_per_source_even_with_an_ungenerated_column() {
    let database = Database::ephemeral();
    database.run(
        "create table spans (span interval not null); insert into spans values ('1 day'), ('2 days');
         create table hosts (address inet primary key, during tstzrange not null, ids uuid[] not null);
         insert into hosts values ('10.0.0.1', '[2024-01-01,2024-02-01)', '{}')",
    );
    create(&database, "long", "select span from public.spans where span > '1 hour'", "DIFFERENTIAL");
    create(&database, "known", "select address, during, ids from public.hosts", "DIFFERENTIAL");
    let name = database.endpoint.database.clone();
    for seed in ["1", "2", "3"] {
        with_time(|budget| {
            let words = ["--allow-writes", &name, "--budget", budget, "--seed", seed];
            let (ran, report) = verify(&database, &words);
            if database.is_emulator() {
                ran.expect(0);
            }
            let often = |source: &&str| rounds(&coverage(&report, source)) >= 3;
            ["public.spans", "public.hosts"].iter().all(often).then_some(())
        });
    }
}

#[test]
fn a_rarely_changed_source_warns_and_fails_with_min_rounds() {
    let database = Database::ephemeral();
    database.run(
        "create table fixed (id int primary key, n int);
         insert into fixed select n, n from generate_series(1, 5) as n;
         create table free (id int primary key, n int);
         insert into free select n, n from generate_series(1, 5) as n;
         create function refuse() returns trigger language plpgsql as 'begin raise exception ''never''; end';
         create trigger refuse before insert or update or delete on fixed for each row execute function refuse();
         create trigger kept before truncate on fixed execute function refuse();
         create table parsed (id int primary key, tree pg_node_tree not null);
         insert into parsed select oid::int8 % 100000, adbin from pg_attrdef limit 1",
    );
    create(&database, "reader", "select id, n from public.fixed", "DIFFERENTIAL");
    let name = database.endpoint.database.clone();
    // A run in which no statement changes a row verifies nothing.
    let (ran, report) = verify(&database, &["--allow-writes", &name, "--budget", "1s"]);
    ran.expect(1);
    let rounds = outcome(&report, "verify", "rounds");
    assert!(rounds["message"].as_str().unwrap().starts_with("verified nothing"), "{rounds:#}");

    create(&database, "other", "select id, n from public.free", "DIFFERENTIAL");
    let (ran, report) = verify(&database, &["--allow-writes", &name, "--budget", "2s"]);
    ran.expect(0);
    let reader = outcome(&report, "verify", "public.reader");
    assert_eq!(reader["verdict"], "warned", "{reader:#}");
    assert!(
        reader["message"].as_str().unwrap().contains("no statement changed a source of it"),
        "{reader:#}"
    );
    let fixed = outcome(&report, "verify", "public.fixed");
    assert_eq!(fixed["verdict"], "warned", "{fixed:#}");
    assert!(fixed["message"].as_str().unwrap().contains("SQLSTATE P0001"), "{fixed:#}");

    let (ran, _) = verify(&database, &["--allow-writes", &name, "--budget", "1s", "--fail-on", "warn"]);
    ran.expect(1);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pgtrickle-ci.yml"), "version: 1\nverify: {min_rounds: 4}\n").unwrap();
    let (ran, report) =
        verify_in(dir.path(), &database.endpoint, &["--allow-writes", &name, "--budget", "1s"]);
    ran.expect(1);
    assert_eq!(outcome(&report, "verify", "public.reader")["verdict"], "failed", "{report:#}");
    assert_eq!(outcome(&report, "verify", "public.fixed")["verdict"], "failed", "{report:#}");
}

/// Rows with a value that no client can write are updated and never deleted, for they could not come back.
#[test]
fn a_row_that_cannot_be_inserted_again_is_not_deleted() {
    let database = Database::ephemeral();
    database.run(
        "create table defaulted (n int default 7);
         create table parsed (id int, n int, tree pg_node_tree not null);
         insert into parsed select 1, 1, adbin from pg_attrdef where adrelid = 'defaulted'::regclass",
    );
    create(&database, "reader", "select id, n from public.parsed", "DIFFERENTIAL");
    let name = database.endpoint.database.clone();
    with_time(|budget| {
        let (_, report) = verify(&database, &["--allow-writes", &name, "--budget", budget]);
        (rounds(&coverage(&report, "public.parsed")) >= 3).then_some(())
    });
    assert_eq!(database.value("select count(*) from parsed").as_deref(), Some("1"));
}

/// Domains over domains, an exclusion constraint, conditions across columns, a key of two references.
const CONSTRAINED: &str = "
    create domain pct as int check (value between 0 and 100);
    create domain even_pct as pct check (value % 2 = 0);
    create domain code as text check (value ~ '^[A-Z]{2}-[0-9]{3}$');
    create table rooms (id int primary key, code code not null unique);
    create table guests (id int primary key, vip boolean not null);
    create table bookings (
      id int primary key, room int references rooms (id), share even_pct not null, during daterange not null,
      starts date not null, ends date not null, kind text not null, note text,
      check (starts < ends), check (kind in ('day', 'week')), check ((kind = 'week') = (note is not null)),
      check (during <@ daterange('1990-01-01', '2100-01-01')), exclude using gist (during with &&)
    );
    create table stays (booking int references bookings (id), guest int references guests (id), primary key (booking, guest));
    insert into rooms select n, 'AB-' || 100 + n from generate_series(1, 5) as n;
    insert into guests select n, n % 2 = 0 from generate_series(1, 8) as n;
    insert into bookings select n, 1 + n % 5, 2 * n, daterange(date '2020-01-01' + 10 * n, date '2020-01-05' + 10 * n),
      date '2020-01-01' + n, date '2020-01-03' + n, case when n % 2 = 0 then 'day' else 'week' end, case when n % 2 = 1 then 'n' || n end
      from generate_series(1, 20) as n;
    insert into stays select n, 1 + n % 8 from generate_series(1, 20) as n;";

#[test]
fn the_mutator_learns_from_rejections() {
    let database = Database::new();
    database.run(CONSTRAINED);
    create(
        &database,
        "staying",
        "select s.booking, g.vip, r.code from public.stays as s join public.guests as g on g.id = s.guest join public.bookings as b on b.id = s.booking join public.rooms as r on r.id = b.room",
        "FULL",
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = client(&runtime, &database);
    runtime.block_on(async {
        let mut sources = client.sources(&std::collections::BTreeMap::new(), false).await.unwrap();
        let mut known = Vec::new();
        for source in &sources {
            known.push(client.known_rows(source).await.unwrap());
        }
        client.supply(&mut sources, &known).await.unwrap();
        let mut mutator = Mutator::new(1, sources.clone(), known, true);
        let mut taken = vec![0; sources.len()];
        client.run("begin").await.unwrap();
        for _ in 0..15 {
            for (at, taken) in taken.iter_mut().enumerate() {
                *taken += changed(&client, &mut mutator, &sources, at, 10, &mut []).await;
            }
        }
        client.run("rollback").await.unwrap();
        // Of 150 changes each. With values of the kinds only, less than a third was taken.
        let names: Vec<String> = sources.iter().map(|source| source.relation.to_string()).collect();
        assert!(taken.iter().all(|taken| *taken > 90), "{names:?} {taken:?}");
    });
}
