"""Writes before.json, after.json and selected.json beside itself: two states of a project as dbt parsed them, without
the fields that nothing reads, and what dbt itself selects in the second of them. Needs dbt-core and dbt-postgres:

    .venv/bin/python tests/it/selectors/record.py
"""

import contextlib
import io
import json
import pathlib
import tempfile

from dbt.cli.main import dbtRunner

HERE = pathlib.Path(__file__).parent
BEFORE = {
    "dbt_project.yml": """
name: shop
version: '1.0'
profile: shop
models: {shop: {marts: {+tags: [mart]}}}
""",
    "packages.yml": "packages: [{local: extra}]\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: postgres, host: nowhere.invalid, port: 1, user: u, password: p, dbname: d, schema: s}}}\n",
    "extra/dbt_project.yml": "name: extra\nversion: '1.0'\n",
    "extra/models/shared/dates.sql": "select 1 as day",
    "seeds/countries.csv": "code\nde\n",
    "macros/cents.sql": "{% macro cents(c) %}{{ whole(c) }} / 100{% endmacro %}",
    "macros/whole.sql": "{% macro whole(c) %}{{ c }}{% endmacro %}",
    "snapshots/kept.sql": "{% snapshot kept %}{{ config(target_schema='s', unique_key='id', strategy='check', check_cols='all') }}select * from {{ ref('orders') }}{% endsnapshot %}",
    "models/staging/stg_orders.sql": "select {{ cents('amount') }} as amount from {{ source('raw', 'orders') }}",
    "models/staging/stg_customers.sql": "{{ config(tags=['nightly', 'pii'], group='sales') }} select * from {{ source('raw', 'customers') }}",
    "models/staging/stg_countries.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('countries') }}",
    "models/marts/orders.sql": "{{ config(materialized='table', meta={'owner': 'ann'}) }} select * from {{ ref('stg_orders') }}",
    "models/marts/orders/daily.sql": "select * from {{ ref('orders') }} cross join {{ ref('dates') }}",
    "models/marts/customers.sql": "{{ config(tags=['nightly']) }} select * from {{ ref('stg_customers') }} cross join {{ ref('stg_countries') }}",
    "models/marts/prices_v1.sql": "select 1 as p",
    "models/marts/prices_v2.sql": "select 2 as p",
    "models/marts/report.sql": "{{ config(persist_docs={'relation': true}) }} select * from {{ ref('daily') }} cross join {{ ref('customers') }} cross join {{ ref('prices', v=1) }}",
    "models/gone.sql": "select 1 as x",
    "models/schema.yml": """
version: 2
groups: [{name: sales, owner: {name: Ann}}]
sources:
  - name: raw
    tables: [{name: orders, tags: [fast]}, {name: customers}]
exposures: [{name: weekly, type: dashboard, owner: {name: Ann}, depends_on: [ref('report')]}]
models:
  - name: prices
    latest_version: 2
    versions: [{v: 1}, {v: 2}]
  - name: report
    description: before
  - name: orders
    columns: [{name: id, data_tests: [unique, {relationships: {to: ref('stg_customers'), field: id}}]}]
""",
}
AFTER = BEFORE | {
    "models/gone.sql": None,
    "models/new.sql": "select * from {{ ref('customers') }}",
    "macros/whole.sql": "{% macro whole(c) %}({{ c }}){% endmacro %}",
    "seeds/countries.csv": "code\nde\nfr\n",
    "models/marts/customers.sql": "{{ config(tags=['nightly'], alias='people') }} select * from {{ ref('stg_customers') }} cross join {{ ref('stg_countries') }}",
    "models/marts/prices_v2.sql": "select 3 as p",
    "models/marts/orders.sql": BEFORE["models/marts/orders.sql"].replace("'ann'", "'bob'"),
    "models/schema.yml": BEFORE["models/schema.yml"].replace("description: before", "description: after").replace("{name: customers}", "{name: customers, identifier: people}"),
}
SELECTORS = [
    (select, "")
    for select in """orders|+orders|orders+|+orders+|1+report|2+report|stg_orders+1|@stg_countries|customers,tag:nightly
tag:nightly|tag:night*|tag:mart|tag:fast+|path:models/staging|models/marts|models/marts/orders.sql|path:models/*/orders.sql|path:seeds
models/marts/*.sql|path:models/**/orders*|stg_orders.sql|file:stg_*|package:extra|package:this|config.materialized:table
config.meta.owner:bob|config.tags:pii|config.enabled:true|source:raw+|source:raw.orders+|source:*.orders+1|+exposure:weekly|exposure:weekly
group:sales|access:protected|resource_type:seed|resource_type:snapshot+|shop.marts|marts|shop.marts.orders|marts.orders|extra.*|*.dates|stg_*
st?_orders|prices|prices.v1|prices_v2|prices.v*|shop.*.orders|state:modified|state:modified+|1+state:modified|state:new|state:old
state:unmodified|state:modified.body|state:modified.configs|state:modified.macros|state:modified.relation
state:modified.persisted_descriptions|state:modified.contract|state:modified,tag:nightly|orders customers|tag:nightly,tag:pii report
nothing_like_it|customers,orders|fqn:orders,file:orders.sql|fqn:shop.marts.orders,file:orders.sql|kept|+kept|countries+|schema.yml""".replace("\n", "|").split("|")
] + [("", "orders+"), ("", "tag:mart package:extra"), ("+report", "stg_customers+"), ("path:models", "state:modified+"), ("", "")]

FIELDS = """resource_type name source_name package_name original_file_path patch_path fqn tags access version depends_on config
raw_code checksum unrendered_config description columns contract latest_version deprecation_date database schema identifier
quoting freshness loaded_at_field external""".split()
CONFIG = ["materialized", "tags", "meta", "group", "enabled", "persist_docs"]


def dbt(*arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        return dbtRunner().invoke(["-q", *arguments])


def make(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)


def trimmed(manifest):
    def entry(node):
        node = {key: node[key] for key in FIELDS if node.get(key) not in (None, [], {}, "")}
        node["config"] = {key: value for key, value in node.get("config", {}).items() if key in CONFIG}
        node["columns"] = {}
        return node

    own = {id: m for id, m in manifest["macros"].items() if m["package_name"] == "shop"}
    return {
        "metadata": {key: manifest["metadata"][key] for key in ("dbt_schema_version", "dbt_version", "project_name")},
        **{group: {id: entry(n) for id, n in manifest[group].items()} for group in ("nodes", "sources", "exposures")},
        "macros": {id: {"macro_sql": m["macro_sql"], "depends_on": m["depends_on"]} for id, m in own.items()},
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
        make(folder, BEFORE)
        dbt("deps", *where)
        for name, files in (("before", BEFORE), ("after", AFTER)):
            make(folder, files)
            assert dbt("parse", "--target-path", str(folder / name), *where).success
            manifest = json.loads((folder / name / "manifest.json").read_text())
            (HERE / f"{name}.json").write_text(json.dumps(trimmed(manifest), indent=1) + "\n")
        lines = []
        for select, exclude in SELECTORS:
            flags = (["--select", select] if select else []) + (["--exclude", exclude] if exclude else [])
            types = ["--resource-types", "model", "--resource-types", "seed", "--resource-types", "snapshot"]
            ran = dbt("ls", *where, *types, "--output", "json", "--output-keys", "unique_id", "--state", str(folder / "before"), *flags)
            assert ran.success, (select, exclude, ran.exception)
            ids = sorted(json.loads(line)["unique_id"] for line in ran.result or [])
            lines.append(json.dumps({"select": select, "exclude": exclude, "ids": ids}))
        (HERE / "selected.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


main()
