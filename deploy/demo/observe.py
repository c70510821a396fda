"""A committed reader of what the matcher says: kafka-python, a client that none of the services reads with."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition

from contracts.types.conflict import Conflict, Review
from deploy.devstack.processes import wait_until

__all__ = ["Observer", "read_whole"]

_SHOWN_S: Final = 30.0
"""Seconds after which a topic that the brokers do not show is none: one that was just made may be shown late."""
_CONFLICTS: Final = "conflicts.v1"
_REVIEWS: Final = "reviews.v1"
_decode_conflict = msgspec.json.Decoder(Conflict).decode
_decode_review = msgspec.json.Decoder(Review).decode


def _reader(bootstrap_servers: str, topics: list[str], options: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    reader = KafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        group_id=None,
        **options,
    )
    if not wait_until(lambda: all(map(reader.partitions_for_topic, topics)), seconds=_SHOWN_S):
        reader.close()
        raise TimeoutError(f"{', '.join(topics)}: not all of them are there")
    found = [TopicPartition(topic, number) for topic in topics for number in reader.partitions_for_topic(topic)]
    reader.assign(found)
    return reader, found


def read_whole(bootstrap_servers: str, topics: list[str], deadline_s: float = 60.0, **options: Any) -> list[Any]:
    """Every record (kafka-python's ConsumerRecord) that a committed reader sees, up to the ends as they are now.

    Raises TimeoutError.
    """
    reader, partitions = _reader(bootstrap_servers, topics, options)
    got: list[Any] = []
    until = time.monotonic() + deadline_s
    try:
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(partitions)
        while any(reader.position(p) < end for p, end in ends.items()):
            if time.monotonic() > until:
                raise TimeoutError(f"{', '.join(topics)}: not read within {deadline_s:.0f} s")
            for records in reader.poll(timeout_ms=200).values():
                got += records
    finally:
        reader.close()
    return got


class Observer:
    """Follows conflicts.v1 and reviews.v1 in a thread, from now on. `conflicts` and `reviews` only grow.

    options: of the client, such as its login. A context manager; on entry the ends of the topics are known, so that
    nothing written afterwards is missed.
    """

    def __init__(self, bootstrap_servers: str, **options: Any) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._options = options
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._reader: Any = None
        self.conflicts: list[Conflict] = []
        self.reviews: list[Review] = []
        self.failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._reader, partitions = _reader(self._bootstrap_servers, [_CONFLICTS, _REVIEWS], self._options)
        self._reader.seek_to_end(*partitions)
        for partition in partitions:
            self._reader.position(partition)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for partition, records in self._reader.poll(timeout_ms=100).items():
                    if partition.topic == _CONFLICTS:
                        self.conflicts += [_decode_conflict(r.value) for r in records]
                    else:
                        self.reviews += [_decode_review(r.value) for r in records if r.value is not None]
        except Exception as error:  # shown by whoever waits for us: a thread has nobody to raise to
            self.failed = error
        finally:
            self._reader.close()
