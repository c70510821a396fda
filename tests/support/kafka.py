"""Topics made fresh, for tests and benchmarks that need the services' own names."""

from __future__ import annotations

import time

from kafka.admin import KafkaAdminClient

from contracts.catalog import TopicSpec, load_topics
from services.platform.errors import BrokerUnavailable, ConfigurationError
from services.platform.kafka.topics import TopicAdmin, plan
from tests.support.plain import plain

__all__ = ["fresh_topics"]


def fresh_topics(bootstrap_servers: str, extra: dict[str, int] | None = None, deadline_s: float = 60.0) -> None:
    """Delete every declared topic, and `extra` (name -> partitions), and make them anew, empty."""
    declared = dict(load_topics())
    for name, partitions in (extra or {}).items():
        declared[name] = TopicSpec(
            name=name,
            about="",
            key="",
            headers="none",
            partitions=partitions,
            cleanup="delete",
            owner="",
            writers=(),
            readers=(),
            retention_days=1,
        )
    until = time.monotonic() + deadline_s
    client = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        present = sorted(set(client.list_topics()) & declared.keys())
        if present:
            client.delete_topics(present)
        while set(client.list_topics()) & declared.keys():
            if time.monotonic() > until:
                raise TimeoutError("topics are not gone")
            time.sleep(0.05)
    finally:
        client.close()
    with TopicAdmin(plain(bootstrap_servers)) as admin:
        while True:
            try:
                admin.apply(plan(declared, admin.existing(list(declared))), declared)
                return
            except (BrokerUnavailable, ConfigurationError):  # marked for deletion, and not gone on every path yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
