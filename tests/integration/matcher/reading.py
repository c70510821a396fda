"""An independent reader (kafka-python) of what is committed."""

from __future__ import annotations

import time

from kafka import KafkaConsumer

__all__ = ["committed"]


def committed(bootstrap: str, topic: str = "conflicts.v1") -> list[bytes]:
    """Every record that a committed reader sees, in the order of its partitions."""
    reader = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        group_id=None,
    )
    try:
        got: list[bytes] = []
        until = time.monotonic() + 60
        partitions: set[object] = set()
        while not partitions and time.monotonic() < until:
            reader.poll(timeout_ms=100)
            partitions = reader.assignment()
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(list(partitions))
        while any(reader.position(p) < end for p, end in ends.items()):
            if time.monotonic() > until:
                raise TimeoutError(f"{topic} could not be read to its end")
            for records in reader.poll(timeout_ms=200).values():
                got += [record.value for record in records]
        return got
    finally:
        reader.close()
