"""The peer: Quix Streams' exactly-once as-of join on exact keys, in a process and an environment of its own.

Run by tests/benchmark/matcher/__main__.py: `python quix_join.py BOOTSTRAP LEFT RIGHT OUT RUN`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from quixstreams import Application

bootstrap, left_name, right_name, out_name, run = sys.argv[1:6]
app = Application(
    broker_address=bootstrap,
    consumer_group=f"quix-{run}",
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=1.0,
    state_dir=str(Path("quix-state") / run),
    auto_create_topics=True,
    loglevel="WARNING",
)
left = app.dataframe(app.topic(left_name, key_deserializer="bytes"))
right = app.dataframe(app.topic(right_name, key_deserializer="bytes"))


def merge(event: dict[str, Any], detainer: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, "detainer": detainer["detainer_id"], "agency": detainer["agency"]}


left.join_asof(right, how="inner", on_merge=merge).to_topic(app.topic(out_name, key_serializer="bytes"))
app.run()
