"""Splink 5 asked for one person at a time, in its own environment: `python splink_search.py SPEC.json`.

SPEC: {"left": csv of those on file, "right": csv of those asked for, "out": json, "seed": int}; the CSV files as in
splink_run.py, whose model this is. m is Splink's default: there are too few true pairs among those on file to estimate
it from, and how long a search takes does not depend on it. A query is registered, compared with all on file by the
model's blocking rules, and its pairs fetched; `out` is a list of seconds, one for each person asked for.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import splink_run  # type: ignore[import-not-found]  # beside this file, in the other environment


def main(spec: dict[str, Any]) -> None:
    import duckdb
    from splink import DuckDBAPI, Linker, block_on

    logging.getLogger("splink").setLevel(logging.ERROR)
    connection = duckdb.connect(":memory:")
    api = DuckDBAPI(connection)
    left = _register(connection, api, "left_rows", spec["left"])
    _register(connection, api, "right_rows", spec["right"])
    linker = Linker([left], splink_run.settings({"right": None, "sex": True, "number": False}), log_level=logging.ERROR)
    training = linker.training
    training.estimate_probability_two_random_records_match([block_on("given", "surname", "birth")], recall=0.7)
    training.estimate_u_using_random_sampling(max_pairs=3e6, seed=spec["seed"])
    for column in ("given", "surname", "birth"):
        linker.table_management.compute_tf_table(column)
    ids = [row[0] for row in connection.execute("SELECT unique_id FROM right_rows ORDER BY unique_id").fetchall()]
    seconds = []
    for number, unique_id in enumerate(ids):
        started = time.perf_counter()
        table = f"asked_{number}"
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM right_rows WHERE unique_id = '{unique_id}'")
        pairs = linker.inference.predict_between(api.register(table), left, threshold_match_weight=0)
        connection.execute(f"SELECT * FROM {pairs.physical_name}").fetchall()
        seconds.append(time.perf_counter() - started)
    Path(spec["out"]).write_text(json.dumps(seconds))


def _register(connection: Any, api: Any, table: str, path: str) -> Any:
    columns = splink_run.COLUMNS
    nulls = ", ".join(f"nullif({column}, '') AS {column}" for column in columns.split(", ")[1:])
    connection.execute(splink_run.PREPARED.format(table=table, columns=columns, nulls=nulls, path=path))
    return api.register(table)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
