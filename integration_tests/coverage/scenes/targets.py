"""Whose a stream table is: two targets in one database, tables of others, and the mark beside a user's comment."""

from harness import CREATED, SOURCES, UNCHANGED, check

TABLE = "{{ config(materialized='stream_table'SCHEMA, meta={'pgtrickle': {'schedule': '1h'}}) }}\nselect id, amount from {{ source('shop', 'orders') }}"
# A custom schema is one schema for all targets, as many projects have it in production.
SHARED = """
{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}
"""


def targets(project, server):
    """What is not this project's, made for this target, is neither dropped nor refreshed nor touched; and is counted."""
    fresh = server.fresh("targets")
    fresh(SOURCES)
    project.write("macros/shared.sql", SHARED)
    for name, schema in {"own": "", "leaves": "", "shared": ", schema='marts'", "leaves_marts": ", schema='marts'"}.items():
        project.write(f"models/targets/{name}.sql", TABLE.replace("SCHEMA", schema))
    everything = dict.fromkeys(["own", "leaves", "shared", "leaves_marts"], CREATED)
    project.run("--select", "targets", expect=everything)
    taken = r"^ALTER \(taken over from the target postgres, schema coverage\)$"
    project.run("--select", "targets", "--target", "other", expect={"own": CREATED, "leaves": CREATED, "shared": taken, "leaves_marts": taken})
    project.run("--select", "shared", expect={"shared": taken.replace("postgres, schema coverage", "other, schema coverage_other")})

    create = "select pgtrickle.create_stream_table('{}', 'select id from shop.orders', '1h', 'DIFFERENTIAL')"
    for name in ["coverage.by_hand", "coverage.of_finance", "coverage.older", "coverage_other.older"]:
        fresh(create.format(name))
    old_mark = """comment on column {}.__pgt_row_id is '{{"dbt_project": "{}", "unique_id": "model.coverage.older"}}'"""
    fresh(old_mark.format("coverage.of_finance", "finance"))
    fresh(old_mark.format("coverage.older", "coverage"))
    fresh(old_mark.format("coverage_other.older", "coverage"))

    ours = ["coverage.own", "coverage.leaves", "coverage.older", "marts.shared"]
    others = lambda: [row for row in everything_of(fresh) if row[0] not in ours]
    before = others()
    for name in ["leaves", "leaves_marts"]:
        project.remove(f"models/targets/{name}.sql")
    fresh("insert into shop.orders values (1000, 1, 1, 'new')")
    fresh("select pgtrickle.alter_stream_table('coverage.leaves', status => 'SUSPENDED')")
    done = r"skipped coverage.leaves: it is suspended.*refreshed 3 stream tables of coverage for the target postgres \(schema coverage\), left 6: "
    project.operation("refresh_all_stream_tables", says=done)
    check(others() == before, "a refresh touched what is not ours")

    project.operation("drop_all_stream_tables")
    for line in [f"dropped {name}" for name in ours] + [
        "dropped 4 stream tables of coverage for the target postgres (schema coverage), left 6: ",
        "3 made for the target other (schema coverage_other)", "1 made for the target of schema coverage_other",
        "1 made by the dbt project finance", "1 not marked by this package",
    ]:
        check(line in project.said, f"`{line}` is not said:\n{project.said}")
    check(everything_of(fresh) == before, "what is not ours was dropped or touched")
    project.operation("drop_all_stream_tables", says="dropped 0 stream tables.*left 6")
    check(everything_of(fresh) == before, "what is not ours was dropped or touched")
    fresh.connection.close()


def everything_of(server):
    """Each stream table's name, identity, rows and comments."""
    tables = server("select pgt_schema || '.' || pgt_name, pgt_id, pgt_relid::bigint, updated_at, pgt_relid::regclass::text from pgtrickle.pgt_stream_tables order by 1")
    rows = "select md5(string_agg(t::text, ',' order by t.__pgt_row_id)) from {} as t"
    comments = "select array_agg(description order by classoid, objsubid) from pg_description where objoid in (select {0} union select oid from pg_trigger where tgrelid = {0})"
    return [(*table[:4], server(rows.format(table[4])), server(comments.format(table[2]))) for table in tables]


def marked(project, server):
    """A description of the engine's column and the mark leave each other alone, and an old mark moves over."""
    fresh = server.fresh("marked")
    fresh(SOURCES)
    project.write("models/marked.yml", "models: [{name: described, config: {persist_docs: {relation: true, columns: true}}, columns: [{name: __pgt_row_id, description: The engine's.}]}]\n")
    project.write("models/described.sql", TABLE.replace("SCHEMA", ""))
    comment = lambda: fresh("select col_description('coverage.described'::regclass, 1)")[0][0]
    project.run("--select", "described", expect={"described": CREATED})
    mark = fresh.mark("described")
    for change in ["id, amount, status", "id, amount::text as amount", "id, amount::text as amount, status"]:
        project.run("--select", "described", expect={"described": UNCHANGED})
        project.write("models/described.sql", TABLE.replace("SCHEMA", "").replace("id, amount", change))
        project.run("--select", "described", expect={"described": "^(ALTER|RECREATE) "})
        check((comment(), fresh.mark("described")) == ("The engine's.", mark), f"{comment()}, {fresh.mark('described')}")

    project.remove("models/marked.yml")
    old = '{"dbt_project": "coverage", "unique_id": "model.coverage.described"}'
    fresh(f"comment on trigger pgt_dml_guard on coverage.described is null; comment on column coverage.described.__pgt_row_id is '{old}'")
    project.run("--select", "described", expect={"described": r"^ALTER \(mark\)$"})
    check((comment(), fresh.mark("described")) == (None, mark), f"{comment()}, {fresh.mark('described')}")
    project.run("--select", "described", expect={"described": UNCHANGED})

    fresh("comment on column coverage.described.__pgt_row_id is 'a user''s'")
    project.edit("models/described.sql", "'1h'", "'2h'")
    project.run("--select", "described", expect={"described": r"^ALTER \(schedule\)$"})
    check((comment(), fresh.mark("described")) == ("a user's", mark), f"{comment()}, {fresh.mark('described')}")
    # Without the engine's trigger the mark is where it was before.
    fresh("drop trigger pgt_dml_guard on coverage.described")
    project.run("--select", "described", expect={"described": r"^ALTER \(mark\)$"})
    project.run("--select", "described", expect={"described": UNCHANGED})
    project.operation("drop_all_stream_tables", says="dropped coverage.described.*dropped 1 stream table of")
    project.remove("models/described.sql")
    fresh.connection.close()
