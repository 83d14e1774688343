"""Databases of the server beside a section."""

import atexit
import os
import pathlib
import shutil
import tempfile

FIRST = os.environ["PGDATABASE"]


def session(database):
    """Executes on a database, each statement for itself."""
    import psycopg2

    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    return connection.cursor().execute


def new_database(name):
    """An empty database, which is dropped at the end."""
    session(FIRST)(f"create database {name}")
    atexit.register(drop_database, name)


def drop_database(name):
    session(FIRST)(f"drop database if exists {name} with (force)")


def small():
    """A database for the project, which PGDATABASE names."""
    new_database("small")
    session("small")("create extension pg_trickle")
    os.environ["PGDATABASE"] = "small"


def quiet_database(name):
    """A database whose clock only this session moves."""
    new_database(name)
    session(FIRST)(f"alter database {name} set pg_trickle.enabled = off")
    sql = session(name)
    sql("set client_min_messages = error; set pg_trickle.enabled = on; create extension pg_trickle")
    return sql


def url(database):
    return f"postgresql://{os.environ['PGUSER']}:{os.environ['PGPASSWORD']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{database}"


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


def folder_without_project():
    """A folder that is in no dbt project, as the checkout is."""
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder
