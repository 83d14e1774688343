"""Disables or enables the trigger that captures deleted customers: `capture.py disable`. PGHOST and the like name the server."""

import sys

import psycopg2
from psycopg2 import sql

connection = psycopg2.connect("")
with connection, connection.cursor() as cursor:
    cursor.execute("select tgname from pg_trigger where tgrelid = 'analytics.raw_customers'::regclass and tgname like '%cdc_del%'")
    [(trigger,)] = cursor.fetchall()
    do = {"disable": "disable", "enable": "enable"}[sys.argv[1]]
    cursor.execute(sql.SQL(f"alter table analytics.raw_customers {do} trigger {{}}").format(sql.Identifier(trigger)))
connection.close()
