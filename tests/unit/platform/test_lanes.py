"""Where a key goes: the same partition that every Kafka client chooses."""

from __future__ import annotations

import random

from aiokafka.partitioner import DefaultPartitioner

from services.platform.kafka.lanes import partition_of


def test_a_key_goes_where_every_other_client_would_send_it() -> None:
    generator = random.Random(7)
    partitions = list(range(12))
    for _ in range(2000):
        key = generator.randbytes(generator.randint(0, 40))
        assert partition_of(key, 12) == DefaultPartitioner()(key, partitions, partitions)
