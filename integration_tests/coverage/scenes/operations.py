"""The operations and the tests, on what is well and on what is broken."""

import contextlib
import pathlib
import time

import yaml
from harness import Failed, Server, check


def operations(project, server):
    """Every operation on tables that are well; and first on one that was never filled."""
    project.operation("pgtrickle_check_freshness", model_name="key_initialize", fails="never been populated")
    project.operation("pgtrickle_status", model_name="key_initialize", fails="populating")
    project.tests("--select", "key_initialize", failing=[
        "stream_table_healthy_key_initialize", "pgtrickle_not_stale_key_initialize", "pgtrickle_matches_query_key_initialize",
    ])
    project.operation("pgtrickle_refresh", model_name="key_initialize", says="refreshed coverage.key_initialize")
    project.operation("pgtrickle_refresh", model_name="nobody", fails="coverage.nobody")
    check(server.table("key_initialize")["is_populated"], "it was not refreshed")

    server("insert into shop.orders values (1000, 1, 1, 'new')")
    project.operation("refresh_all_stream_tables", says="refreshed coverage.base.*refreshed coverage.reader_of_base")
    project.operation("refresh_all_stream_tables", schema="coverage_named", says="refreshed coverage_named.renamed")
    check("coverage.base" not in project.said, "another schema was refreshed")
    project.operation("pgtrickle_status", says=r"^pg_trickle: OK +coverage\.base  healthy: refreshed \d+ s ago \(DIFFERENTIAL every 1h\)$")
    project.operation("pgtrickle_stream_table_status", name="key_names", says=r"coverage_named\.renamed  healthy")
    project.operation("pgtrickle_check_freshness", says=r"freshness: \d\d looked at, none failed")
    project.operation("pgtrickle_check_freshness", model_name="base", error_seconds=0, fails="stale")
    project.operation("pgtrickle_check_cdc_health", says="^pg_trickle: OK +shop.orders  TRIGGER$")
    project.operation("pgtrickle_explain", model_name="base", says="^pg_trickle: refresh_mode: DIFFERENTIAL")
    project.operation("pgtrickle_refresh_history", model_name="base", limit=1, says=r"completed.*1 looked at")
    project.operation("pgtrickle_operational_status", says="^pg_trickle: OK +scheduler_running")
    project.operation("pgtrickle_drain", timeout_s=10, says="no refresh is under way")
    if server("select 1 where pgtrickle.version() like '%%emulator%%'"):
        project.operation("pgtrickle_enable_monitoring", fails="cannot monitor itself")
    else:
        project.operation("pgtrickle_enable_monitoring", says="OK +df_efficiency_rolling")
    pairs = yaml.safe_load(pathlib.Path("query_pairs.yml").read_text())
    project.operation("check_query_pairs", pairs=pairs, says="pairs are judged as listed")
    project.operation("check_query_pairs", pairs=[{"one": "a", "other": "b", "same": True}], fails="not judged as listed")
    keys = yaml.safe_load(pathlib.Path("key_pairs.yml").read_text())
    project.operation("check_key_pairs", pairs=keys, says="keys are judged as listed")
    project.operation("check_key_pairs", pairs=[{"key": "a", "meant": "schedule"}], fails="not judged as listed: a")
    project.tests(failing=[])


@contextlib.contextmanager
def a_refresh_that_lingers(server):
    server("""
        create table shop.slow (id int primary key);
        create table shop.held ();
        create function shop.linger() returns int language plpgsql as
          $$ begin while exists (select from shop.held) loop perform pg_sleep(0.1); end loop; return 1; end $$;
    """)
    server("select pgtrickle.create_stream_table('shop.slowly', 'select id, shop.linger() as held from shop.slow', '1s', 'FULL')")
    server("insert into shop.held default values")
    server("insert into shop.slow values (1)")
    for _ in range(60):
        if server("select 1 from pg_locks where relation = 'shop.slowly'::regclass and mode in ('RowExclusiveLock', 'AccessExclusiveLock')"):
            break
        time.sleep(0.5)
    else:
        raise Failed("shop.slowly is never refreshed")
    yield
    server("delete from shop.held")
    server("select pgtrickle.drop_stream_table('shop.slowly')")


def broken(project, server):
    """Each kind of damage is seen by the tests and the operations that look for it, and by no other."""
    server("select pgtrickle.alter_stream_table('coverage.mode_full', status => 'SUSPENDED')")
    server("select pgtrickle.alter_stream_table('coverage.key_fuse', status => 'ERROR')")
    server("select pgtrickle.drop_stream_table('coverage.key_tier')")
    server("select pgtrickle.alter_stream_table('coverage.mode_auto', tier => 'frozen')")
    limits = "'freshness': {'error_after': {'count': 1, 'period': 'second'}}"
    project.edit("models/mode_differential.sql", "'schedule': '1h'", f"'schedule': '1h', {limits}")
    trigger = server("select tgname from pg_trigger where tgrelid = 'shop.orders'::regclass and tgname like 'pg_trickle_cdc_ins%'")[0][0]
    server(f'alter table shop.orders disable trigger "{trigger}"')
    dropped = server("select tgname from pg_trigger where tgrelid = 'shop.visits'::regclass and tgname like 'pg_trickle_cdc_del%'")[0][0]
    server(f'drop trigger "{dropped}" on shop.visits')
    server("insert into shop.orders values (1001, 1, 1, 'new')")
    time.sleep(1.1)

    project.tests(failing=[
        "stream_table_healthy_mode_full", "pgtrickle_matches_query_mode_full",
        "stream_table_healthy_key_fuse", "pgtrickle_no_errors_key_fuse", "pgtrickle_matches_query_key_fuse",
        "stream_table_healthy_key_tier", "pgtrickle_not_stale_key_tier", "pgtrickle_no_errors_key_tier", "pgtrickle_matches_query_key_tier",
        "stream_table_healthy_mode_differential", "pgtrickle_not_stale_mode_differential", "pgtrickle_matches_query_mode_differential",
        "stream_table_healthy_mode_auto", "pgtrickle_matches_query_mode_auto", "pgtrickle_matches_query_key_names", "pgtrickle_matches_query_key_initialize",
    ])
    states = r"ERROR  coverage\.key_fuse  erroring.*ERROR  coverage\.key_tier  not_found.*ERROR  coverage\.mode_auto  frozen.*ERROR  coverage\.mode_differential  stale.*ERROR  coverage\.mode_full  paused"
    project.operation("pgtrickle_status", fails=states)
    project.operation("pgtrickle_check_freshness", fails=states)
    project.operation("pgtrickle_stream_table_status", name="mode_full", fails="paused")
    project.operation("pgtrickle_check_cdc_health", fails=rf"ERROR  shop\.orders  TRIGGER; missing or disabled: {trigger}.*ERROR  shop\.visits  .*{dropped}")
    project.operation("pgtrickle_operational_status", fails="ERROR  suspended_tables  coverage.mode_full")
    project.operation("pgtrickle_refresh", model_name="mode_full", fails="22023")
    project.operation("refresh_all_stream_tables", fails="22023|42P01|is suspended")
    project.operation("pgtrickle_explain", model_name="key_tier", fails="not found")
    project.operation("pgtrickle_refresh_history", model_name="key_tier", fails="no stream table coverage.key_tier")

    holder = Server()
    holder.connection.autocommit = False
    holder("select pgtrickle.refresh_stream_table('coverage.base')")
    project.operation("pgtrickle_refresh", model_name="base", fails="another refresh of it is under way")
    holder.connection.rollback()

    with a_refresh_that_lingers(server):
        project.operation("pgtrickle_drain", timeout_s=1, fails="still under way after 1 s")

    server(f'alter table shop.orders enable trigger "{trigger}"')
    project.edit("models/mode_differential.sql", f", {limits}", "")
