"""`run` beside dbt's own time."""

from measure import beside_dbt, in_project, of_dbt, once


def run():
    in_project()
    runs = []
    for _ in range(3):
        seconds, said = once("run", "--verbose", "--budget", "0s")
        runs.append((seconds, of_dbt(said)))
    beside_dbt("run, with a server of its own", runs)
