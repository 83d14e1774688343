"""The measurements of scripts/bench.sh, which prepares what they need and says where."""

import glob, http.server, json, multiprocessing, os, random, re, shutil, statistics, subprocess, sys, threading, time

BINARY = os.environ["BENCHED"]


def once(*arguments):
    """Seconds that the program took, and what it said of its progress."""
    begin = time.perf_counter()
    done = subprocess.run([BINARY, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{done.stderr}error: pgtrickle-ci {' '.join(arguments)} ended with {done.returncode}")
    return seconds, done.stderr


def line(what, seconds, unit, aim=None):
    factor = {"s": 1, "ms": 1000}[unit]
    shown = [f"{factor * value:.{2 if unit == 's' else 1}f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
    aim = f"aim {aim} {unit}" if aim else ""
    print(f"{what:<44}{shown[0]:>8} {unit:<3} {aim:<10} ({len(seconds)} runs, {shown[1]} to {shown[2]})", flush=True)


def many(runs, *arguments):
    once(*arguments)  # the first one warms the caches
    return [once(*arguments)[0] for _ in range(runs)]


def answer():
    """Seconds until a command beside a new server runs: the server has answered and has the extension."""
    clock = [sys.executable, "-S", "-c", "import time; print(time.time())"]
    begin = time.time()
    done = subprocess.run([BINARY, "ephemeral", "--", *clock], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - begin


def server():
    answer()
    line("an ephemeral server, until it answers", [answer() for _ in range(9)], "s", 1.2)


def in_project(*dbt):
    os.chdir("target/bench/project")
    for command in dbt:
        subprocess.run(["dbt", "--quiet", command], check=True)


def plan():
    in_project("deps", "build")
    line("plan, with a connection", many(30, "plan"), "ms", 40)
    line("plan, against a baseline", many(30, "plan", "--baseline", "target/manifest.json"), "ms", 15)
    key(1_000, 30)
    key(10_000, 200)


def key(files, aim):
    """What it takes to see that a project of so many files has not changed: plan with and without looking at them."""
    for n in range(files):
        folder = f"models/many/{n // 100:03}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/many_{n:05}.sql", "w") as model:
            model.write("{{ config(enabled=false) }}\n-- " + "x" * 1500 + "\nselect 1 as a\n")
    once("plan")
    # Files that were just written are read once more.
    time.sleep(3)
    kept = max(glob.glob("target/pgtrickle-ci/manifests/*/manifest.json"), key=os.path.getmtime)
    once("plan")
    pairs = [(once("plan")[0], once("plan", "--manifest", kept)[0]) for _ in range(15)]
    line(f"the key of {files:,} unchanged files", [mine - without for mine, without in pairs], "ms", aim)


def of_dbt(said):
    """Seconds that dbt took inside a verbose run."""
    took = [float(took) for took in re.findall(r"^dbt \S+ took ([0-9.]+)s$", said, re.M)]
    if not took:
        sys.exit("error: run --verbose does not say how long dbt took")
    return sum(took)


def run():
    in_project()
    runs = []
    for _ in range(3):
        seconds, said = once("run", "--verbose", "--budget", "0s")
        runs.append((seconds, of_dbt(said)))
    beside_dbt("run, with a server of its own", runs)


def beside_dbt(what, runs):
    line(what, [whole for whole, _ in runs], "s")
    line("  the dbt invocations inside it", [dbt for _, dbt in runs], "s")
    line("  on top of them", [whole - dbt for whole, dbt in runs], "s", 2)
    print(f"{'  the whole divided by dbt':<44}{statistics.median(whole / dbt for whole, dbt in runs):>8.2f}")


class GitHub(http.server.BaseHTTPRequestHandler):
    """As much of GitHub as the first comment of a pull request needs; it keeps the moment at which that was posted."""

    posted = None

    def answer(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(200, [])

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/graphql":
            return self.answer(200, {"data": {"viewer": {"login": "us"}}})
        GitHub.posted = time.perf_counter()
        self.answer(201, {"id": 1, "html_url": "https://github.com/octo-org/shop/1"})

    def log_message(self, *_):
        pass


def comment():
    """The steps of the Action, in the project. The time that is given to changing rows is the user's, and none here."""
    action, event = os.path.abspath("scripts/action.sh"), os.path.abspath("tests/it/events/pull_request.json")
    in_project()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = {"RUNNER_TEMP": os.getcwd(), "GITHUB_OUTPUT": "output", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": event, "GITHUB_REPOSITORY": "octo-org/shop", "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}", "WORKING_DIRECTORY": ".", "PROGRAM": BINARY, "MODE": "run"}
    gate = {"INPUT_BUDGET": "0s", "INPUT_JSON": "report.json", "INPUT_JUNIT": "", "INPUT_MARKDOWN": "", "INPUT_ENGINE": "emulator", "INPUT_DATABASE_URL": "", "PGTRICKLE_CI_VERBOSE": "true"}
    runs = []
    for _ in range(5):
        GitHub.posted = None
        begin = time.perf_counter()
        done = subprocess.run([action, "gate"], env=os.environ | there | gate, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        subprocess.run([action, "comment"], env=os.environ | there | {"REPORT": "report.json", "GITHUB_TOKEN": "us"}, stderr=subprocess.DEVNULL, check=True)
        if done.returncode or not GitHub.posted:
            sys.exit(f"{done.stderr}error: nothing was posted")
        runs.append((GitHub.posted - begin, of_dbt(done.stderr)))
    beside_dbt("the Action, until it posts the comment", runs)


def session(database):
    """Executes on a database, each statement for itself."""
    import psycopg2

    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    return connection.cursor().execute


def quiet_database(name):
    """A database whose clock stands still but for this session."""
    session("postgres")(f"create database {name}")
    session("postgres")(f"alter database {name} set pg_trickle.enabled = off")
    sql = session(name)
    sql("set client_min_messages = error; set pg_trickle.enabled = on; create extension pg_trickle")
    return sql


class Emulated:
    """Stream tables over a source, every other one over the one before it: half a fan, half a chain."""

    def __init__(self, tables, rows):
        self.sql, self.rows = quiet_database(f"emulated_{tables}_{rows}"), rows
        self.sql(f"create table source as select n as id, n % 1000 as v from generate_series(1, {rows}) n")
        self.sql("alter table source add primary key (id); analyze source")
        begin = time.perf_counter()
        for n in range(tables):
            chained = n % 2 == 0 and n > 0
            query = f"select id, v + 1 as v from t{n - 2}" if chained else f"select id, v from source where v = {n}"
            self.sql("select pgtrickle.create_stream_table(%s, %s, '1s', 'DIFFERENTIAL')", (f"public.t{n}", query))
        self.created = [time.perf_counter() - begin]

    def rounds(self, number):
        """Seconds of each tick after a small change, and of each tick after none."""
        changed, quiet = [], []
        for n in range(number):
            self.sql(f"update source set v = (v + 1) % 1000 where id % {self.rows // 10} = {n}")
            changed.append(self.tick())
            quiet.append(self.tick())
        return changed, quiet

    def tick(self):
        self.sql("update pgtrickle.pgt_stream_tables set last_refresh_at = last_refresh_at - interval '1 minute'")
        begin = time.perf_counter()
        self.sql("call pgtrickle._emulator_tick()")
        return time.perf_counter() - begin


def emulator():
    whole = Emulated(200, 100_000)
    changed, quiet = whole.rounds(20)
    line("the emulator, 200 tables over 100k rows: create", whole.created, "s")
    line("  a tick after ten rows changed", changed, "s")
    line("  a tick after none", quiet, "ms")
    for what, half in {"tables": Emulated(100, 100_000), "rows": Emulated(200, 50_000)}.items():
        steps = zip(("create", "changed", "quiet"), (whole.created, changed, quiet), (half.created, *half.rounds(5)))
        grown = [f"{step} {statistics.median(all) / statistics.median(some):.1f}" for step, all, some in steps]
        print(f"  twice the {what}: times {', '.join(grown)}", flush=True)
    thirds = [statistics.median(part) for part in (changed[:7], changed[-7:])]
    print(f"  the last third of the rounds: times {thirds[1] / thirds[0]:.1f}", flush=True)


def url(database):
    return f"postgresql://{os.environ['PGUSER']}:{os.environ['PGPASSWORD']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{database}"


def delay(sql, waiting):
    """Seconds from the moment a stream table is there and filled to the end of what waits for it."""
    sql("select pgtrickle.drop_stream_table('public.late')")
    process = subprocess.Popen(waiting, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.5 + random.random())
    sql("select pgtrickle.create_stream_table('public.late', 'select id from source', '1h', 'DIFFERENTIAL')")
    filled = time.perf_counter()
    if process.wait():
        sys.exit(f"error: {waiting[0]} ended with {process.returncode}")
    return time.perf_counter() - filled


def waiting():
    sql = quiet_database("waiting")
    sql("create table source (id int primary key); insert into source values (1)")
    sql("select pgtrickle.create_stream_table('public.late', 'select id from source', '1h', 'DIFFERENTIAL')")
    file = "target/bench/late.json"
    node = {"resource_type": "model", "name": "late", "alias": "late", "schema": "public", "database": "waiting", "unique_id": "model.shop.late", "fqn": ["shop", "late"], "package_name": "shop", "path": "late.sql", "original_file_path": "models/late.sql", "compiled": True, "compiled_code": "select id from source", "depends_on": {"nodes": []}, "config": {"materialized": "stream_table", "enabled": True, "meta": {"pgtrickle": {"schedule": "1h"}}}}
    with open(file, "w") as out:
        json.dump({"metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"}, "nodes": {"model.shop.late": node}, "sources": {}, "disabled": {}, "parent_map": {}, "child_map": {}}, out)
    wait = [BINARY, "wait", "--manifest", file, "--database-url", url("waiting")]
    loop = [sys.executable, "-c", """import psycopg2, time
while True:
    connection = psycopg2.connect(dbname="waiting")
    cursor = connection.cursor()
    cursor.execute("select is_populated from pgtrickle.pgt_stream_tables where pgt_name = 'late'")
    if cursor.fetchone() == (True,):
        break
    connection.close()
    time.sleep(1)"""]
    line("wait, from the filled table to its end", [delay(sql, wait) for _ in range(15)], "ms", 50)
    line("  a loop that looks once a second", [delay(sql, loop) for _ in range(15)], "ms")


def thousand():
    """A database with a source, and 1,000 models over it in the project; the answer is how to execute there, and their queries."""
    sql = quiet_database("thousand")
    sql("create table source (id int primary key, v int); insert into source select n, n % 1000 from generate_series(1, 1000) n")
    sql("create schema analytics")
    models = "target/bench/project/models/thousand"
    os.makedirs(models)
    queries = {f"thousand_{n}": f"select id, v from public.source where v = {n}" for n in range(1000)}
    for name, query in queries.items():
        with open(f"{models}/{name}.sql", "w") as model:
            model.write("{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1h'}}) }}\n" + query + "\n")
    os.environ["PGDATABASE"] = "thousand"
    return sql, queries


def deployed():
    """`plan` against 1,000 deployed stream tables, and what dbt takes to read the same project."""
    thousand()
    in_project("deps", "compile")
    line("apply, 1,000 new stream tables", [once("apply", "--select", "path:models/thousand")[0]], "s")
    line("plan, 1,000 deployed stream tables", many(15, "plan"), "ms")
    for what, *arguments in (("parse", "--no-partial-parse"), ("ls",)):
        begin = time.perf_counter()
        subprocess.run(["dbt", "--quiet", what, *arguments], stdout=subprocess.DEVNULL, check=True)
        line(f"  dbt {what}, the same project", [time.perf_counter() - begin], "s")


def checks():
    """`check` over 1,000 stream tables, and what the dbt package's users ask today."""
    sql, queries = thousand()
    for name, query in queries.items():
        sql("select pgtrickle.create_stream_table(%s, %s, '1h', 'DIFFERENTIAL')", (f"analytics.{name}", query))

    def dbt(*arguments):
        begin = time.perf_counter()
        # The tables of the other models are missing there, which is an answer as well.
        subprocess.run(["dbt", "--quiet", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begin

    def check():
        command = [BINARY, "check", "--database-url", url("thousand"), "--json", "report.json"]
        begin = time.perf_counter()
        subprocess.run(command, cwd="target/bench", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        with open("target/bench/report.json") as report:
            outcomes = json.load(report)["outcomes"]
        if sum(outcome["stage"] == "status" for outcome in outcomes) != 1000:
            sys.exit("error: check did not look at every table")
        return seconds

    check()
    mine = [check() for _ in range(9)]
    line("check, 1,000 stream tables", mine, "s")
    in_project("deps", "parse")
    for operation in ("pgtrickle_check_freshness", "pgtrickle_check_cdc_health", "pgtrickle_status"):
        theirs = [dbt("run-operation", operation) for _ in range(3)]
        line(f"  dbt run-operation {operation}", theirs, "s")
        print(f"{'    divided by check':<44}{statistics.median(theirs) / statistics.median(mine):>8.1f}", flush=True)


def manifest(models, file):
    """A manifest as dbt 1.11 writes it: a tenth of the models are stream tables, in chains of ten."""
    columns = [f"a_column_with_number_{n}" for n in range(24)]
    nodes, parents = {}, {}
    for n in range(models):
        name, is_stream_table = f"model_{n:05}", n % 10 == 0
        above = f"model_{n - 10:05}" if n % 100 >= 10 else None
        read = f'"warehouse"."analytics"."{above}"' if above else f'"warehouse"."raw"."source_{n % 50}"'
        picks = ",\n".join(f"        coalesce(o.{c}, l.{c}) as {c} -- it's \"the\" value" for c in columns)
        sql = f'with source as (\n\n    select\n{picks}\n    from {read} as o\n    left join "warehouse"."raw"."source_{n % 50}" as l using (id)\n)\n\nselect {", ".join(columns)}\nfrom source\n'
        config = {"enabled": True, "alias": None, "schema": None, "tags": [], "group": None, "incremental_strategy": None, "persist_docs": {}, "post-hook": [], "pre-hook": [], "quoting": {}, "column_types": {}, "on_schema_change": "ignore", "grants": {}, "packages": [], "docs": {"show": True, "node_color": None}, "contract": {"enforced": False, "alias_types": True}, "access": "protected"}
        config["materialized"] = "stream_table" if is_stream_table else "view"
        config["meta"] = {"pgtrickle": {"schedule": "5m", "refresh_mode": "DIFFERENTIAL"}} if is_stream_table else {}
        id = f"model.shop.{name}"
        parents[id] = [f"model.shop.{above}" if above else f"source.shop.raw.source_{n % 50}"]
        nodes[id] = {
            "database": "warehouse", "schema": "analytics", "name": name, "resource_type": "model", "package_name": "shop", "path": f"{name}.sql",
            "original_file_path": f"models/{name}.sql", "unique_id": id, "fqn": ["shop", name], "alias": name, "checksum": {"name": "sha256", "checksum": f"{n:064x}"},
            "config": config, "unrendered_config": config, "tags": [], "description": "What it is. " * 10, "relation_name": f'"warehouse"."analytics"."{name}"',
            "columns": {c: {"name": c, "description": "What it holds.", "meta": {}, "data_type": None, "constraints": [], "tags": []} for c in columns[:4]},
            "depends_on": {"macros": [], "nodes": parents[id]}, "compiled": True, "raw_code": sql.replace("analytics", "{{ schema }}"), "compiled_code": sql,
        }
        if n % 5 == 0:
            test = f"test.shop.not_null_{name}"
            nodes[test] = {"resource_type": "test", "name": f"not_null_{name}", "package_name": "shop", "original_file_path": "models/schema.yml", "config": {"severity": "ERROR"}, "depends_on": {"nodes": [id]}, "attached_node": id, "compiled_code": "select 1"}
    children = {}
    for id, read in parents.items():
        children.setdefault(read[0], []).append(id)
    metadata = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"}
    macros = {f"macro.shop.m{n}": {"macro_sql": "{% macro m() %}select 1{% endmacro %}" * 10} for n in range(500)}
    with open(file, "w") as out:
        json.dump({"metadata": metadata, "nodes": nodes, "sources": {}, "macros": macros, "exposures": {}, "parent_map": parents, "child_map": children}, out)


def verify():
    """How fast the twenty-two TPC-H queries are compared while their eight sources change."""
    root, project = os.getcwd(), "target/bench/tpch"
    shutil.copytree("integration_tests_tpch", project)
    with open(f"{project}/packages.yml", "w") as packages:
        packages.write(f"packages:\n  - local: {root}\n")
    os.chdir(project)
    print("the TPC-H project, 20 s of changes on the emulator")
    for seed in ("1", "2", "3"):
        once("run", "--engine", "emulator", "--budget", "20s", "--seed", seed, "--json", "report.json")
        with open("report.json") as report:
            outcomes = json.load(report)["outcomes"]
        rounds = next(o for o in outcomes if o["stage"] == "verify" and o["subject"] == "rounds")
        print("  " + "; ".join([rounds["message"], *rounds["details"]]), flush=True)
    os.chdir(root)


def weighed(*command):
    """Seconds, the most memory in MB, and the seconds of work, which other processes do not disturb, of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"error: {' '.join(command)} ended with {status}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def manifests():
    walk = os.path.join(os.path.dirname(BINARY), "examples", "walk_json")
    for models in (1_000, 10_000):
        file = os.path.join("target/bench", f"{models}.json")
        # In a process of its own: what is started by a large one counts as large itself.
        writer = multiprocessing.Process(target=manifest, args=(models, file))
        writer.start()
        writer.join()
        size = os.path.getsize(file) / 1024 / 1024
        # A plan against a baseline reads two manifests; here they are one file.
        runs = [(weighed(walk, file, file), weighed(BINARY, "plan", "--manifest", file, "--baseline", file)) for _ in range(9)]
        print(f"{models:,} models, {size:.0f} MB, read twice")
        line("  walking the JSON", [walked[0] for walked, _ in runs], "ms")
        line("  plan", [planned[0] for _, planned in runs], "ms")
        for what, part in (("by the clock", 0), ("by the work of the processor", 2)):
            ratio = statistics.median(planned[part] / walked[part] for walked, planned in runs)
            print(f"{f'  plan divided by walking, {what}':<56}{ratio:>4.2f}  aim 1.5")
        print(f"{'  the most memory, without the file':<44}{max(planned[1] for _, planned in runs) - size:>8.0f} MB  aim 40 MB")


for section in sys.argv[1:]:
    globals()[section]()
