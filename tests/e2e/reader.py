"""Prints every committed record of the topics named as arguments, from now on: topic, tab, value, a record a line.

Runs inside the notifier's image (reader.yaml); `seen.ContainerReader` starts it. The first
line is `ready`: what is written after it is missed by nobody.
"""

from __future__ import annotations

import sys

from kafka import KafkaConsumer, TopicPartition

from services.platform.kafka.clients import client_options
from services.platform.settings import PlatformSettings


def main(topics: list[str]) -> None:
    options = client_options(PlatformSettings())
    options.pop("request_timeout_ms")  # made for aiokafka; here it has to be longer than a poll of a group
    reader = KafkaConsumer(**options, isolation_level="read_committed", enable_auto_commit=False, group_id=None)
    found = [TopicPartition(topic, number) for topic in topics for number in reader.partitions_for_topic(topic) or ()]
    reader.assign(found)
    reader.seek_to_end(*found)
    for partition in found:
        reader.position(partition)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for partition, records in reader.poll(timeout_ms=200).items():
            for record in records:
                if record.value is not None:
                    sys.stdout.write(f"{partition.topic}\t{record.value.decode()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
