"""A project that used pg_trickle's own dbt package: what it wrote goes on working, and no table changes on the way here or back."""

import json
import os
import pathlib
import re
import subprocess

from harness import CREATED, SOURCES, UNCHANGED, Server, can_run, check
from invocations import IS_V2, VERSION

PLAIN = "{{ config(materialized='stream_table', schedule='5m', refresh_mode='DIFFERENTIAL'MORE) }}\nselect id, amount from {{ source('shop', 'orders') }}\n"
READER = "{{ config(materialized='stream_table') }}\nselect id from {{ ref('taken') }}\n"
TESTS = """
models:
  - name: taken
    TESTS:
      - dbt_pgtrickle.stream_table_healthy
      - dbt_pgtrickle.stream_table_healthy: {name: within_300, warn_seconds: 300}
      - dbt_pgtrickle.stream_table_healthy: {name: within_none, warn_seconds: 0}
"""
WITH_ARGUMENTS = "      - dbt_pgtrickle.stream_table_healthy: {name: within_arguments, arguments: {warn_seconds: 0}}\n"
# Calls macros and logs their answers, as JSON of texts; and one macro that guards, as the other package's README does.
MACROS = """
{% macro answers(calls) %}
  {% set all = [] %}
  {% for call in calls %}
    {% set answer = dbt_pgtrickle[call[0]](**call[1]) %}
    {% set texts = {} %}
    {% for key, value in (answer.items() if answer is mapping else []) %}{% do texts.update({key: value | string}) %}{% endfor %}
    {% do all.append(texts or answer) %}
  {% endfor %}
  {% do log('answers: ' ~ tojson(all), info=true) %}
{% endmacro %}
{% macro guard(name) %}
  {% if dbt_pgtrickle.pgtrickle_stream_table_status(name).status != 'healthy' %}
    {{ exceptions.raise_compiler_error(name ~ ' is not healthy') }}
  {% endif %}
  {% if dbt_pgtrickle.pgtrickle_operational_status().cdc_paused %}{{ exceptions.raise_compiler_error('paused') }}{% endif %}
{% endmacro %}
"""


def answers(project, macro, calls):
    """What a macro answers to each of these arguments."""
    project.operation("answers", calls=[[macro, arguments] for arguments in calls], says="^answers: ")
    return json.loads(re.search(r"^answers: (.*)$", project.said, re.M)[1])


def moved(project, server):
    """Every name that the other package has, with what it answers and what it refuses."""
    fresh = server.fresh("moved")
    fresh(SOURCES)
    fresh("create schema elsewhere; create schema coverage")
    fresh("select pgtrickle.create_stream_table('elsewhere.no_model', 'select id from shop.orders', '1h', 'DIFFERENTIAL')")
    fresh("select pgtrickle.create_stream_table('coverage.beside', 'select id from shop.orders', '1h', 'DIFFERENTIAL')")
    project.write("macros/moved.sql", MACROS)
    project.write("models/moved/taken.sql", PLAIN.replace("MORE", ""))
    project.write("models/moved/taken_reader.sql", READER)
    project.edit("dbt_project.yml", "profile: coverage\n", "profile: coverage\nmodels: {coverage: {moved: {+schedule: '2h'}}}\n")
    project.run("--select", "moved", expect={"taken": CREATED, "taken_reader": CREATED})
    check([fresh.table(name)["schedule"] for name in ["taken", "taken_reader"]] == ["5m", "2h"], "the plain keys were not taken")
    for scene in filter(can_run, [misspelled, generic_test, status, lookups, wrappers, operations, scripts]):
        scene(project, fresh)
    for name in ["models/moved/taken_reader.sql", "models/moved/taken.sql", "macros/moved.sql"]:
        project.remove(name)
    project.edit("dbt_project.yml", "models: {coverage: {moved: {+schedule: '2h'}}}\n", "")
    fresh.connection.close()


def misspelled(project, server):
    project.write("models/moved/taken.sql", PLAIN.replace("MORE", ", shedule='1h', tags=['a']"))
    project.run("--select", "taken", expect={"taken": UNCHANGED})
    warned = [text for text in project.warned if "did you mean" in text]
    check(len(warned) == 1 and "pg_trickle: model.coverage.taken: `shedule` is not a pgtrickle key: did you mean `schedule`?" in warned[0], f"{project.warned}")
    project.write("models/moved/taken.sql", PLAIN.replace("MORE", ""))


def generic_test(project, server):
    """Bare and under `arguments:`; a table that is missing is no healthy one."""
    server("select pgtrickle.refresh_stream_table('coverage.taken')")
    tests = TESTS.replace("TESTS", "data_tests" if VERSION >= (1, 8) else "tests")
    if IS_V2: # which refuses them bare
        tests = re.sub("(warn_seconds: [0-9]+)", r"arguments: {\1}", tests)
    failing = ["within_none"]
    if VERSION >= (1, 10):
        tests, failing = tests + WITH_ARGUMENTS, ["within_none", "within_arguments"]
    project.write("models/moved/moved.yml", tests)
    project.tests("--select", "taken", failing=failing)
    server("select pgtrickle.alter_stream_table('coverage.taken', status => 'SUSPENDED')")
    everything = ["stream_table_healthy_taken", "within_300", *failing]
    project.tests("--select", "taken", failing=everything)
    server("select pgtrickle.resume_stream_table('coverage.taken')")
    server("select pgtrickle.drop_stream_table('coverage.taken', true)")
    project.tests("--select", "taken", failing=everything)
    project.remove("models/moved/moved.yml")
    project.run("--select", "moved", expect={"taken": CREATED, "taken_reader": CREATED})


def status(project, server):
    """A mapping, whatever the name and the state; only the operation itself fails."""
    ask = lambda *calls: answers(project, "pgtrickle_stream_table_status", [call if isinstance(call, dict) else {"name": call} for call in calls])
    keys = {"status", "staleness_seconds", "consecutive_errors", "last_refresh_at", "total_refreshes", "is_populated", "refresh_mode", "cdc_paused", "force_full", "is_drained"}
    server("select pgtrickle.refresh_stream_table('coverage.taken')")
    names = ["taken", "coverage.taken", "beside", "elsewhere.no_model"]
    for name, found in zip(names, ask(*names)):
        check(set(found) == keys and found["status"] == "healthy" and float(found["staleness_seconds"]) < 900 and found["consecutive_errors"] == "0"
              and float(found["total_refreshes"]) >= 1 and found["is_populated"] == "True" and found["refresh_mode"] == "DIFFERENTIAL", f"{name}: {found}")
    names = ["nobody", "no_model", "elsewhere.nobody", "no.such.name", "TAKEN", '"coverage"."taken"', "", None]
    for name, found in zip(names, ask(*({"name": name} for name in names))):
        check(set(found) == keys and found["status"] == "not_found" and found["total_refreshes"] == "0" and found["is_populated"] == "False", f"{name}: {found}")
    server("update pgtrickle.pgt_stream_tables set last_refresh_at = now() - interval '200 s' where pgt_name = 'no_model'")
    found = ask(*({"name": "elsewhere.no_model", **more} for more in [{}, {"warn_seconds": 300}, {"warn_seconds": 100}]))
    check([each["status"] for each in found] == ["healthy", "healthy", "stale"], "warn_seconds is not the limit")
    project.operation("guard", name="taken")
    for state, word in [("SUSPENDED", "paused"), ("ERROR", "erroring")]:
        server(f"select pgtrickle.alter_stream_table('coverage.taken', status => '{state}')")
        check(ask("taken")[0]["status"] == word, f"{state} is not {word}")
        project.operation("guard", name="taken", fails="taken is not healthy")
        project.operation("pgtrickle_stream_table_status", name="taken", fails="status: 1 of 1 failed: coverage.taken")
    server("select pgtrickle.resume_stream_table('coverage.taken')")
    project.operation("pgtrickle_stream_table_status", name="taken", says=r"^pg_trickle: OK +coverage\.taken  healthy")
    project.operation("pgtrickle_stream_table_status", name="nobody", fails="not_found")


def lookups(project, server):
    there, missing = ["taken", "coverage.taken", "beside", "coverage.beside", "elsewhere.no_model"], ["nobody", "elsewhere.taken", "no_model"]
    names = [{"name": name} for name in there + missing]
    found = answers(project, "pgtrickle_stream_table_exists", names)
    check(found == [True] * len(there) + [False] * len(missing), f"{found}")
    infos = answers(project, "pgtrickle_get_stream_table_info", names)
    for name, found in zip(there + missing, infos):
        check(found is None if name in missing else found["pgt_name"] == name.split(".")[-1], f"{name}: {found}")
    expected = {"pgt_schema": "coverage", "schedule": "5m", "refresh_mode": "DIFFERENTIAL", "status": "ACTIVE", "fuse_mode": "off"}
    found = infos[there.index("coverage.taken")]
    check({key: found[key] for key in expected} == expected and "amount" in found["defining_query"], f"{found}")
    has_it = lambda: answers(project, "pgtrickle_has_create_or_replace", [{}])
    check(has_it() == [True], "create_or_replace is there")
    server("alter function pgtrickle.create_or_replace_stream_table rename to create_or_replace_later")
    check(has_it() == [False], "create_or_replace is not there")
    wanted = {"name": "elsewhere.made", "query": "select id from shop.orders", "schedule": "1h", "refresh_mode": "FULL", "initialize": True}
    project.operation("pgtrickle_create_or_replace_stream_table", **wanted, fails="create_or_replace_stream_table of pg_trickle .* on this server does not take it")
    server("alter function pgtrickle.create_or_replace_later rename to create_or_replace_stream_table")


def wrappers(project, server):
    """Each is committed when dbt is done with it, and what it refuses changes nothing."""
    made = lambda: server.table("made")
    run = lambda name, /, **more: project.operation(f"pgtrickle_{name}_stream_table", **more)
    wanted = {"name": "elsewhere.made", "query": "select id, amount from shop.orders;\n-- all", "schedule": "1h", "refresh_mode": "DIFFERENTIAL", "initialize": True}
    run("create", **wanted, says="^pg_trickle: created elsewhere.made$")
    check((made()["schedule"], made()["is_populated"], made()["pgt_schema"]) == ("1h", True, "elsewhere"), f"{made()}")
    run("create", **wanted, fails="already exists")
    before = made()["pgt_id"]
    run("create_or_replace", **wanted, cdc_mode="trigger", says="^pg_trickle: created or replaced elsewhere.made$")
    run("create_or_replace", **{**wanted, "schedule": None}, cdc_mode="trigger")
    check((made()["pgt_id"], made()["schedule"], made()["requested_cdc_mode"]) == (before, None, "trigger"), f"{made()}")
    run("create_or_replace", **{**wanted, "name": "elsewhere.new", "initialize": False})
    check(not server.table("new")["is_populated"], "initialize was not passed on")
    run("drop", name="elsewhere.new")
    for way in ["create", "create_or_replace"]:
        run(way, name="elsewhere.new", query=wanted["query"])
        found = [server.table("new")[key] for key in ["schedule", "refresh_mode", "is_populated"]]
        check(found == [None, "DIFFERENTIAL", True], f"{way} without settings: {found}")
        run("drop", name="elsewhere.new")

    run("alter", name="elsewhere.made", schedule="2h", refresh_mode="FULL", status="PAUSED", fuse="on", fuse_ceiling=7, says=r"^pg_trickle: altered elsewhere.made \(schedule, refresh_mode, status, fuse, fuse_ceiling\)$")
    check([made()[key] for key in ["schedule", "refresh_mode", "status", "fuse_mode", "fuse_ceiling"]] == ["2h", "FULL", "SUSPENDED", "on", 7], f"{made()}")
    before = made()
    run("alter", name="elsewhere.made", schedule="120m", refresh_mode=None, status="PAUSED")
    check(made() == before and "altered" not in project.said, "what does not differ was altered")
    run("alter", name="elsewhere.made")
    check(made() == before and "altered" not in project.said, "what is left out was altered")
    run("alter", name="elsewhere.made", schedule="3h", says=r"^pg_trickle: altered elsewhere.made \(schedule\)$")
    check((made()["schedule"], made()["refresh_mode"]) == ("3h", "FULL"), f"{made()}")
    run("alter", name="elsewhere.made", schedule=None, refresh_mode=None, status="ACTIVE", query="select id, amount from shop.orders where amount > 10")
    check(made()["status"] == "ACTIVE" and server("select min(amount) > 10 from elsewhere.made") == [(True,)], "the query was not altered")
    run("alter", name="elsewhere.made", schedule=None, refresh_mode=None, query="select amount, id from shop.orders", fails=r"cannot be altered in place \(order of columns\)")
    run("alter", name="elsewhere.nobody", schedule="1h", refresh_mode="FULL", says="^pg_trickle: nothing to alter: there is no stream table elsewhere.nobody$")

    server("insert into shop.orders values (2000, 1, 2000, 'new')")
    run("refresh", name="elsewhere.made", says="^pg_trickle: refreshed elsewhere.made$")
    check(server("select count(*) from elsewhere.made where id = 2000") == [(1,)], "the refresh was rolled back")
    holder = Server()
    holder.connection.autocommit = False
    holder("select pgtrickle.refresh_stream_table('elsewhere.made')")
    # Another refresh of it has just ended, which is none of ours.
    run("refresh", name="elsewhere.made", fails="elsewhere.made was not refreshed: another refresh of it is under way")
    holder.connection.rollback()
    holder.connection.close()
    run("refresh", name="elsewhere.nobody", fails="elsewhere.nobody")

    run("drop", name="taken", fails="has dependent stream tables")
    run("drop", name="elsewhere.made", says="^pg_trickle: dropped elsewhere.made$")
    check("made" not in server.tables() and "taken" in server.tables(), "the drop was rolled back")
    run("drop", name="elsewhere.made", fails="elsewhere.made")


def operations(project, server):
    count = lambda table: server("select count(*) from pgtrickle.pgt_refresh_history where pgt_id = %s and initiated_by = 'MANUAL'", server.table(table)["pgt_id"])[0][0]
    for arguments in [{"model_name": "taken"}, {"model_name": "coverage.taken"}, {"model_name": "taken", "schema": "coverage"}]:
        before = count("taken")
        project.operation("pgtrickle_refresh", **arguments, says="^pg_trickle: refreshed coverage.taken$")
        check(count("taken") == before + 1, f"{arguments}: not refreshed, or rolled back")
    for arguments in [{"model_name": "elsewhere.no_model"}, {"model_name": "no_model", "schema": "elsewhere"}]:
        project.operation("pgtrickle_refresh", **arguments, says="^pg_trickle: refreshed elsewhere.no_model$")
    project.operation("pgtrickle_refresh", model_name="no_model", fails="coverage.no_model")

    server("select pgtrickle.alter_stream_table('elsewhere.no_model', status => 'SUSPENDED')")
    server("select pgtrickle.alter_stream_table('coverage.taken_reader', status => 'SUSPENDED')")
    before = count("taken"), count("no_model")
    project.operation("refresh_all_stream_tables", says="refreshed coverage.taken$.*^pg_trickle: skipped coverage.taken_reader: it is suspended$.*refreshed 1 stream table of")
    check((count("taken"), count("no_model")) == (before[0] + 1, before[1]), "not this project's were refreshed")
    project.operation("refresh_all_stream_tables", schema="elsewhere", says="refreshed 0 stream tables of .* left 1")
    server("select pgtrickle.resume_stream_table('coverage.taken_reader')")
    project.operation("refresh_all_stream_tables", says="refreshed coverage.taken$.*refreshed coverage.taken_reader$")
    server("select pgtrickle.alter_stream_table('coverage.taken', status => 'ERROR')")
    before = count("taken_reader")
    failed = "cannot refresh coverage.taken: 22023: .*refreshed coverage.taken_reader$.*refreshed 1 stream table of.*1 failed: coverage.taken"
    project.operation("refresh_all_stream_tables", fails=failed)
    check(count("taken_reader") == before + 1, "one that fails keeps the others from theirs")
    server("select pgtrickle.resume_stream_table('coverage.taken')")
    project.operation("refresh_all_stream_tables", says="refreshed 2 stream tables of")

    project.operation("pgtrickle_check_freshness", model_name="taken", warn_seconds=600, error_seconds=1800, says=r"^pg_trickle: OK +coverage\.taken ")
    project.operation("pgtrickle_check_freshness", model_name="taken", warn_seconds=0, error_seconds=1800, says=r"^pg_trickle: WARN +coverage\.taken ")
    project.operation("pgtrickle_check_freshness", model_name="taken", warn_seconds=0, error_seconds=0, fails="coverage.taken")
    project.operation("pgtrickle_check_freshness", model_name="coverage.beside", says=r"coverage\.beside")
    project.operation("pgtrickle_check_freshness", model_name="nobody", fails="not_found")
    project.operation("pgtrickle_check_cdc_health", says=r"^pg_trickle: OK +shop\.orders")

    found = answers(project, "pgtrickle_operational_status", [{}])[0]
    expected = {"scheduler_running": "True", "enabled": "True", "cdc_paused": "False", "force_full": "False", "backpressure_active": "False"}
    check({key: found[key] for key in expected} == expected and found["is_drained"] in ["True", "False"], f"{found}")
    check(answers(project, "pgtrickle_drain", [{"timeout_s": 20}]) == [True], "it does not drain")
    server("select pgtrickle.alter_stream_table('elsewhere.no_model', status => 'ACTIVE')")


def scripts(project, server):
    """Waiting for a table by its name, in any schema."""
    def wait(*arguments):
        done = subprocess.run(["bash", "dbt_packages/dbt_pgtrickle/scripts/wait_for_populated.sh", *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    server("select pgtrickle.create_stream_table('elsewhere.taken', 'select id from shop.visits', '1h', 'DIFFERENTIAL', initialize => false)")
    for name, expected in [("no_model", 0), ("coverage.taken", 0), ("taken", 1), ("elsewhere.taken", 1), ("nobody", 1), ("o'clock", 1)]:
        code, said = wait(name, "1")
        check(code == expected and name in said, f"{name}: {code}: {said}")
    server("select pgtrickle.drop_stream_table('elsewhere.taken')")


def deployed_by_a_role(project, server):
    """The grants of docs/deploy-role.sql are enough to deploy, and without them nothing is deployed."""
    fresh = server.fresh("by_role")
    fresh(SOURCES)
    fresh("create schema coverage; create role _pgtrickle_deploy login password 'deploy'")
    text = pathlib.Path("dbt_packages/dbt_pgtrickle/docs/deploy-role.sql").read_text()
    grants = text.replace("CREATE ROLE pgtrickle_deploy LOGIN;\n", "").replace("pgtrickle_deploy", "_pgtrickle_deploy")
    fresh("grant usage, create on schema coverage to _pgtrickle_deploy; grant usage on schema shop to _pgtrickle_deploy; grant select, trigger on all tables in schema shop to _pgtrickle_deploy")
    if IS_V2: # which creates the schema in any case
        fresh("grant create on database by_role to _pgtrickle_deploy")
    project.write("models/role/by_role.sql", PLAIN.replace("MORE", ""))
    owner = {name: os.environ.get(name, "") for name in ["PGUSER", "PGPASSWORD"]}
    os.environ.update(PGUSER="_pgtrickle_deploy", PGPASSWORD="deploy")
    project.run("--select", "role", expect={"by_role": "permission denied"})
    fresh(grants)
    project.run("--select", "role", expect={"by_role": CREATED})
    project.edit("models/role/by_role.sql", "'5m'", "'6m'")
    project.run("--select", "role", expect={"by_role": r"^ALTER \(schedule\)$"})
    project.operation("pgtrickle_refresh", model_name="by_role")
    project.operation("pgtrickle_check_cdc_health")
    project.operation("pgtrickle_operational_status")
    project.operation("pgtrickle_drain")
    policed(project, fresh)
    # The owner of a source that only IMMEDIATE tables read cannot be changed (docs/pg_trickle.md, Source DDL).
    fresh("select pgtrickle.drop_stream_table('coverage.at_once')")
    project.operation("drop_all_stream_tables", fails="must be owner of relation")
    fresh("create role shop_owner; grant shop_owner to _pgtrickle_deploy; grant all on schema shop to shop_owner")
    for source in ["orders", "customers", "visits"]:
        fresh(f"alter table shop.{source} owner to shop_owner")
    project.operation("drop_all_stream_tables", says="dropped 2 stream tables of")
    os.environ.update(owner)
    for source in ["orders", "customers", "visits"]:
        fresh(f"alter table shop.{source} owner to current_user")
    fresh("drop owned by _pgtrickle_deploy, shop_owner; drop role _pgtrickle_deploy, shop_owner")
    for name in ["by_role.sql", "at_once.sql", "policed.sql", "policed.yml"]:
        project.remove(f"models/role/{name}")
    fresh.connection.close()


def policed(project, fresh):
    """A table is neither filled nor compared by a role from which policies hide rows; and one is IMMEDIATE."""
    table = "{{ config(materialized='stream_table', meta={'pgtrickle': {'refresh_mode': 'MODE'}}) }}\nselect id from {{ source('shop', 'SOURCE') }}"
    project.write("models/role/at_once.sql", table.replace("MODE", "IMMEDIATE").replace("SOURCE", "customers"))
    project.write("models/role/policed.sql", table.replace("MODE", "DIFFERENTIAL").replace("SOURCE", "visits"))
    project.write("models/role/policed.yml", f"models: [{{name: policed, {'data_tests' if VERSION >= (1, 8) else 'tests'}: [dbt_pgtrickle.pgtrickle_matches_query]}}]\n")
    fresh("alter table shop.visits enable row level security; create policy few on shop.visits using (id < 3)")
    project.run("--select", "role", expect={"at_once": CREATED, "policed": "row-level security policy for table .visits"})
    fresh("alter role _pgtrickle_deploy bypassrls")
    project.run("--select", "policed", expect={"policed": CREATED})
    check(fresh("select count(*) from coverage.policed") == [(20,)], "rows are missing")
    project.tests("--select", "policed", failing=[])
    fresh("alter role _pgtrickle_deploy nobypassrls")
    project.tests("--select", "policed", failing=["pgtrickle_matches_query_policed"])
    compiled = [file.read_text() for file in project.folder.glob("target/**/*matches_query_policed*.sql")]
    check(any("policies of shop.visits hide rows" in text for text in compiled), f"the test does not say why: {compiled}")


def hooked(project, server):
    """Every operation in every kind of hook, of models of every kind: done with the model, and on dbt v1 undone with it."""
    fresh = server.fresh("hooked")
    fresh(SOURCES)
    fresh("create schema coverage; select pgtrickle.create_stream_table('coverage.beside', 'select id from shop.orders', '1h', 'DIFFERENTIAL')")
    count = lambda: fresh("select count(*) from pgtrickle.get_refresh_history('coverage.beside', 1000)")[0][0]
    quiet = [
        "pgtrickle_refresh('beside')", "refresh_all_stream_tables()", "pgtrickle_check_freshness('beside')", "pgtrickle_check_cdc_health()",
        "pgtrickle_status('beside')", "pgtrickle_explain('beside')", "pgtrickle_refresh_history('beside')",
        "pgtrickle_refresh_stream_table('coverage.beside')", "pgtrickle_alter_stream_table('coverage.beside', '1h', none)",
        "pgtrickle_create_stream_table('coverage.by_hook', 'select id from shop.visits', '1h', 'FULL', true)",
        "pgtrickle_create_or_replace_stream_table('coverage.by_hook', 'select id from shop.visits', '2h', 'FULL', true)",
        "pgtrickle_drop_stream_table('coverage.by_hook')",
    ]
    answering = ["pgtrickle_drain(20)", "pgtrickle_operational_status()", "pgtrickle_stream_table_status('beside')", "pgtrickle_stream_table_exists('beside')", "pgtrickle_get_stream_table_info('beside')", "pgtrickle_has_create_or_replace()"]
    calls = [f"{{{{ dbt_pgtrickle.{call} }}}}" for call in quiet] + [f"{{% do dbt_pgtrickle.{call} %}}" for call in answering]
    done = len([call for call in quiet if "refresh_stream_table" in call or "pgtrickle_refresh('" in call])
    model = lambda kind, hooks: f"{{{{ config(materialized='{kind}', schedule='1h', post_hook={json.dumps(hooks).replace('false', 'False').replace('true', 'True')}) }}}}\nselect 1 as id"
    project.write("models/hooked/plain.sql", "select 1 as id")

    never_run = [f"{{{{ dbt_pgtrickle.{name}() }}}}" for name in ["drop_all_stream_tables", "drop_all_stream_tables_force", "pgtrickle_enable_monitoring"]]
    for place in ["on-run-start", "on-run-end"]:
        project.edit("dbt_project.yml", "profile: coverage\n", f"profile: coverage\n{place}: {json.dumps(calls + never_run)}\n")
        os.environ["PGPORT"], port = "1", os.environ["PGPORT"]
        succeeded, _ = project.dbt("parse", "--no-partial-parse")
        os.environ["PGPORT"] = port
        check(succeeded, f"{place} does not parse without a server:\n{project.said}")
        # It renders the hooks as well.
        before = count(), fresh.tables()
        for command in [["compile"], ["docs", "generate"]]:
            succeeded, _ = project.dbt(*command)
            check(succeeded and (count(), fresh.tables()) == before, f"{place}: {command} carried a hook out:\n{project.said}")
        project.edit("dbt_project.yml", json.dumps(calls + never_run), json.dumps(calls))
        before = count()
        project.run("--select", "plain", expect={"plain": "CREATE VIEW|SELECT|Succeeded"})
        check(count() == before + done, f"{place}: {count() - before} refreshes, not {done}:\n{project.said}")
        check("by_hook" not in fresh.tables() and "dropped coverage.by_hook" in project.said, f"{place}: it was not dropped:\n{project.said}")
        project.edit("dbt_project.yml", f"{place}: {json.dumps(calls)}\n", "")

    for kind, drop in [("stream_table", "select pgtrickle.drop_stream_table('coverage.with_hooks')"), ("table", "drop table coverage.with_hooks"), ("view", "")]:
        for transaction in [True, False]:
            hooks = [{"sql": call, "transaction": transaction} for call in calls]
            where = f"post_hook of a {kind}, transaction {transaction}"
            before = count()
            project.write("models/hooked/with_hooks.sql", model(kind, hooks).replace("select 1 as id", "select id from {{ source('shop', 'customers') }}"))
            _, nodes = project.dbt("run", "--select", "with_hooks")
            check("error" not in nodes["with_hooks"], f"{where}: {nodes}\n{project.said}")
            check(fresh("select count(*) from coverage.with_hooks") == [(7,)], f"{where}: the model is not there")
            check(count() - before == done, f"{where}: {count() - before} refreshes:\n{project.said}")
            check("by_hook" not in fresh.tables(), f"{where}: it was not dropped")
            before = count()
            fails = [{"sql": "{{ dbt_pgtrickle.pgtrickle_refresh('beside') }}", "transaction": True}, {"sql": "select 1 / 0", "transaction": True}]
            project.write("models/hooked/with_hooks.sql", model(kind, fails).replace("select 1 as id", "select id from {{ source('shop', 'customers') }} where id < 5"))
            _, nodes = project.dbt("run", "--select", "with_hooks")
            check("division by zero" in nodes["with_hooks"], f"{where}: {nodes}")
            if not IS_V2: # where each statement of a hook is committed
                check(count() == before and fresh("select count(*) from coverage.with_hooks") == [(7,)], f"{where}: a hook of a failed model left something")
        if drop:
            fresh(drop)
    project.remove("models/hooked/with_hooks.sql")
    project.remove("models/hooked/plain.sql")
    fresh.connection.close()


def there_and_back(project, server):
    """What the other package deployed is taken over as it is, and given back as it was."""
    fresh = server.fresh("there_and_back")
    fresh(SOURCES)
    fresh("create schema coverage")
    queries = {
        "first": "\n\nSELECT\n    customer_id,\n    SUM(amount) AS total\nFROM {}\nGROUP BY customer_id\n",
        "second": "\n\nselect total from {} where total > 10",
        "top": "\n\nselect id, amount from {} order by amount desc limit 3",
    }
    sources = {"first": "shop.orders", "second": "coverage.first", "top": "shop.orders"}
    refs = {"first": "source('shop', 'orders')", "second": "ref('first')", "top": "source('shop', 'orders')"}
    quoted = lambda name: '"there_and_back".' + ".".join(f'"{part}"' for part in sources[name].split("."))
    for name, query in queries.items():
        project.write(f"models/back/{name}.sql", "{{ config(materialized='stream_table', schedule='1h', refresh_mode='DIFFERENTIAL') }}" + query.format("{{ " + refs[name] + " }}"))

    def deploy():
        """As the other package does it: one call of the engine a model, with the compiled text as it is."""
        for name, query in queries.items():
            fresh("select pgtrickle.create_or_replace_stream_table(%s, %s, '1h', 'DIFFERENTIAL', true)", f"coverage.{name}", query.format(quoted(name)))

    def tables():
        identity = "select pgt_name, pgt_id, pgt_relid::oid, defining_query, schedule, refresh_mode, status from pgtrickle.pgt_stream_tables order by 1"
        rows = "select md5(string_agg(t::text, ',' order by t.__pgt_row_id)), array_agg(t.ctid order by t.__pgt_row_id) from coverage.{} as t"
        return fresh(identity), [fresh(rows.format(name)) for name in queries]

    deploy()
    before = tables()
    project.operation("drop_all_stream_tables", says=r"^pg_trickle: dropped 0 stream tables of .*, left 3: 3 not marked by this package")
    project.operation("refresh_all_stream_tables", says="refreshed 3 stream tables of")
    before = tables()
    project.run("--select", "back", expect=dict.fromkeys(queries, r"^ALTER \(mark\)$"))
    check(tables() == before, f"taking over changed a table: {before} {tables()}")
    project.run("--select", "back", expect=dict.fromkeys(queries, UNCHANGED))
    deploy()
    check(tables() == before, f"going back changed a table: {before} {tables()}")
    project.run("--select", "back", expect=dict.fromkeys(queries, UNCHANGED))
    project.operation("drop_all_stream_tables", says=r"^pg_trickle: dropped 3 stream tables of .*, left 0$")
    for name in queries:
        project.remove(f"models/back/{name}.sql")
    fresh.connection.close()
