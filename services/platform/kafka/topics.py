"""Provision the topics that contracts/topics.yaml declares, with kafka-python's admin client.

A change that loses data is refused unless it is allowed in so many words: a topic cannot lose partitions, and
moving partitions of a keyed topic breaks the order of its keys; a shorter retention or another clean-up deletes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError
from msgspec import Struct

from contracts.catalog import TopicSpec
from services.platform.errors import BrokerUnavailable

__all__ = ["Change", "TopicAdmin", "plan"]


class Change(Struct, frozen=True):
    """One difference between what is declared and what the cluster has. destructive: may lose data or order."""

    topic: str
    what: Literal["create", "partitions", "config"]
    key: str
    now: str
    wanted: str
    destructive: bool = False


class Existing(Struct, frozen=True):
    """A topic as the cluster has it."""

    partitions: int
    config: Mapping[str, str]


def plan(declared: Mapping[str, TopicSpec], existing: Mapping[str, Existing]) -> list[Change]:
    """What it takes to bring the cluster to what is declared, in the order of the declaration. Pure."""
    changes: list[Change] = []
    for name, spec in declared.items():
        have = existing.get(name)
        if have is None:
            changes.append(Change(name, "create", "partitions", "-", str(spec.partitions)))
            continue
        if have.partitions != spec.partitions:
            # More partitions send a key elsewhere than its older records: the order within the key is lost.
            changes.append(Change(name, "partitions", "partitions", str(have.partitions), str(spec.partitions), True))
        for key, wanted in spec.config().items():
            now = have.config.get(key, "")
            if now != wanted:
                changes.append(Change(name, "config", key, now, wanted, _loses(key, now, wanted)))
    return changes


def _loses(key: str, now: str, wanted: str) -> bool:
    if key == "cleanup.policy":
        return True
    try:
        return int(wanted) < int(now) if int(now) >= 0 else True  # -1: kept for ever
    except ValueError:
        return False


class TopicAdmin:
    """The cluster's side. A context manager, since the client has threads and sockets.

    Raises BrokerUnavailable when no broker answers.
    """

    def __init__(self, bootstrap_servers: str, *, replication_factor: int = -1, timeout_ms: int = 10_000) -> None:
        self._replication_factor = replication_factor
        try:
            self._client = KafkaAdminClient(
                bootstrap_servers=bootstrap_servers.split(","),
                client_id="sallyport-topics",
                request_timeout_ms=timeout_ms,
            )
        except KafkaError as error:
            raise BrokerUnavailable(f"no broker at {bootstrap_servers}") from error

    def __enter__(self) -> TopicAdmin:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def existing(self, names: list[str]) -> dict[str, Existing]:
        """Those of `names` that the cluster has."""
        present = set(self._client.list_topics()) & set(names)
        if not present:
            return {}
        partitions = {t["name"]: len(t["partitions"]) for t in self._client.describe_topics(sorted(present))}
        configs = self._configs(sorted(present))
        return {name: Existing(partitions[name], configs.get(name, {})) for name in present}

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answer: Mapping[Any, Mapping[str, Mapping[str, Any]]] = self._client.describe_configs(
            resources, config_filter="All"
        )
        return {
            name: {key: str(entry["value"]) for key, entry in entries.items()}
            for by_name in answer.values()
            for name, entries in by_name.items()
        }

    def apply(self, changes: list[Change], declared: Mapping[str, TopicSpec]) -> None:
        """Carry out `changes`; whoever calls has decided about the destructive ones."""
        new = {
            change.topic: {
                "num_partitions": declared[change.topic].partitions,
                "replication_factor": self._replication_factor,
                "configs": declared[change.topic].config(),
            }
            for change in changes
            if change.what == "create"
        }
        if new:
            self._client.create_topics(new, wait_for_metadata=True)
        grow = {c.topic: int(c.wanted) for c in changes if c.what == "partitions"}
        if grow:
            self._client.create_partitions(grow)
        altered: dict[str, dict[str, str]] = {}
        for change in changes:
            if change.what == "config":
                altered.setdefault(change.topic, {})[change.key] = change.wanted
        if altered:
            self._client.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs=configs) for name, configs in altered.items()]
            )
