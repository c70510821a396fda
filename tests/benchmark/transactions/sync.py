"""(2) and (3): kafka-python 3. (2) has one producer and commits the group's offsets in its transaction, with the
group's generation (KIP-447); (3) is as (1), a producer and a thread a partition."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.platform.kafka.outlets import OutRecord
from tests.benchmark.transactions.common import EVENTS, PARTITIONS, Control, Task, outputs, progress

__all__ = ["run_group", "run_lanes"]

_READ_AHEAD = 5000
"""Most inputs of one partition that wait: more than a poll brings, so that no lane is idle while others have work."""


def _producer(task: Task, transactional_id: str) -> KafkaProducer:
    producer = KafkaProducer(
        bootstrap_servers=task.bootstrap,
        transactional_id=transactional_id,
        transaction_timeout_ms=task.transaction_timeout_ms,
        batch_size=512 * 1024,
        retry_backoff_ms=10,
    )
    producer.init_transactions()
    return producer


def _consumer(task: Task) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=task.session_timeout_ms,
        heartbeat_interval_ms=task.session_timeout_ms // 4,
        fetch_max_wait_ms=100,
    )


def _send(producer: KafkaProducer, records: Sequence[OutRecord]) -> None:
    for r in records:
        producer.send(r.topic, key=r.key, value=r.value, headers=list(r.headers), partition=r.partition)


class _Tell(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, control: Control) -> None:
        self._control = control

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._control.say("assigned", partitions=sorted(tp.partition for tp in assigned))

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        pass  # no transaction is open between two polls


def run_group(task: Task, control: Control) -> None:
    producer = _producer(task, f"{task.group}-{time.monotonic_ns()}")
    consumer = _consumer(task)
    consumer.subscribe([EVENTS], listener=_Tell(control))
    while not control.stopping:
        batches = consumer.poll(timeout_ms=100, max_records=task.inputs)
        if not batches:
            continue
        began = time.monotonic()
        records: list[OutRecord] = []
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for tp, got in batches.items():
            for record in got:
                records.extend(outputs(record.key, record.value, tp.partition))
            offsets[tp] = OffsetAndMetadata(got[-1].offset + 1, "", -1)
            records.append(progress(tp.partition, got[-1].offset + 1))  # the detainers' offsets have to be somewhere
        try:
            producer.begin_transaction()
            _send(producer, records)
            hangs = control.take_hang()
            # As a loop does it that took its records before it was stopped: with the generation of then.
            member = consumer.group_metadata()
            if hangs and not control.offsets_first:
                producer.flush()
                control.wait_go(tp.partition for tp in batches)
            producer.send_offsets_to_transaction(offsets, member)
            if hangs and control.offsets_first:
                producer.flush()
                control.wait_go(tp.partition for tp in batches)
            producer.commit_transaction()
            if hangs:
                control.say("accepted")
        except KafkaError as error:
            control.say("refused", error=f"{type(error).__name__}: {error}"[:200])
            with contextlib.suppress(KafkaError):  # fenced for good: the broker has aborted it already
                producer.abort_transaction()
            break
        control.committed(sum(map(len, batches.values())), time.monotonic() - began)
    producer.close(timeout=5)
    consumer.close()


def run_lanes(task: Task, control: Control) -> None:
    consumer = _consumer(task)
    every = [TopicPartition(EVENTS, p) for p in range(PARTITIONS)]
    consumer.assign(every)
    consumer.seek_to_beginning(*every)
    inboxes: dict[int, queue.Queue[Any]] = {p: queue.Queue(_READ_AHEAD) for p in range(PARTITIONS)}
    threads = [
        threading.Thread(target=_lane, args=(task, control, p, inbox), daemon=True) for p, inbox in inboxes.items()
    ]
    for thread in threads:
        thread.start()
    while not control.stopping:
        for tp, got in consumer.poll(timeout_ms=100, max_records=4000).items():
            for record in got:
                while not control.stopping:
                    try:
                        inboxes[tp.partition].put(record, timeout=0.2)
                        break
                    except queue.Full:
                        continue
    for thread in threads:
        thread.join(10)
    consumer.close()


def _lane(task: Task, control: Control, partition: int, inbox: queue.Queue[Any]) -> None:
    producer = _producer(task, f"{task.group}-{partition}")
    while not control.stopping:
        try:
            got = [inbox.get(timeout=0.2)]
        except queue.Empty:
            continue
        while len(got) < task.inputs and not inbox.empty():
            got.append(inbox.get_nowait())
        began = time.monotonic()
        records: list[OutRecord] = []
        for record in got:
            records.extend(outputs(record.key, record.value, partition))
        records.append(progress(partition, got[-1].offset + 1))
        producer.begin_transaction()
        _send(producer, records)
        producer.commit_transaction()
        control.committed(len(got), time.monotonic() - began)
    producer.close(timeout=5)
