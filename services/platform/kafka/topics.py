"""Provision the topics that contracts/topics.yaml declares, with kafka-python's admin client.

A change that loses data is refused unless it is allowed in so many words: a topic cannot lose partitions, and
moving partitions of a keyed topic breaks the order of its keys; a shorter retention or another clean-up deletes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError, RetriableError, TopicAuthorizationFailedError
from msgspec import Struct

from contracts.catalog import TopicSpec
from services.platform.errors import BrokerUnavailable, ConfigurationError, KafkaNotAuthorised
from services.platform.kafka.doors import admin_client, refusal
from services.platform.settings import PlatformSettings

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

    Raises BrokerUnavailable when no broker answers, or what `doors` says of a login or a certificate.
    """

    def __init__(self, settings: PlatformSettings, *, replication_factor: int = -1, timeout_ms: int = 10_000) -> None:
        self._replication_factor = replication_factor
        self._timeout_ms = timeout_ms
        self._client: KafkaAdminClient = admin_client(settings, "sallyport-topics", timeout_ms)

    def __enter__(self) -> TopicAdmin:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def existing(self, names: list[str]) -> dict[str, Existing]:
        """Those of `names` that the cluster has. Raises KafkaNotAuthorised: it does not tell us."""
        described = self._client.describe_topics(sorted(names))
        if denied := [t["name"] for t in described if t["error_code"] == TopicAuthorizationFailedError.errno]:
            raise KafkaNotAuthorised(f"DESCRIBE of {', '.join(denied)}: sallyport topics apply --acls")
        partitions = {t["name"]: len(t["partitions"]) for t in described if not t["error_code"]}
        if not partitions:
            return {}
        present = sorted(partitions)
        configs = self._configs(present)
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
        """Carry out `changes`, and return once the cluster shows them; whoever calls decided about destructive ones.

        Raises:
            ConfigurationError: the cluster does not allow a change. A topic that is to lose partitions is refused
                before anything is changed; of other refusals, what came before stays.
            BrokerUnavailable: the cluster did not answer, or did not show the changes in time.
        """
        fewer = [c.topic for c in changes if c.what == "partitions" and int(c.wanted) < int(c.now)]
        if fewer:
            raise ConfigurationError(f"{', '.join(fewer)}: Kafka takes no partitions away; nothing was changed")
        try:
            self._create([c.topic for c in changes if c.what == "create"], declared)
            grow = {c.topic: int(c.wanted) for c in changes if c.what == "partitions"}
            if grow:
                self._client.create_partitions(grow)
            self._alter([c for c in changes if c.what == "config"])
            self._await_shown({c.topic: declared[c.topic] for c in changes})
        except (RetriableError, KafkaTimeoutError) as error:
            raise BrokerUnavailable("the cluster did not answer in time") from error
        except KafkaError as error:
            what = "the cluster refuses the change"
            raise refusal(error, what) or ConfigurationError(f"{what}: {type(error).__name__}") from error

    def _create(self, names: list[str], declared: Mapping[str, TopicSpec]) -> None:
        if names:
            new = {
                name: {
                    "num_partitions": declared[name].partitions,
                    "replication_factor": self._replication_factor,
                    "configs": declared[name].config(),
                }
                for name in names
            }
            self._client.create_topics(new, wait_for_metadata=True)

    def _alter(self, changes: list[Change]) -> None:
        altered: dict[str, dict[str, str]] = {}
        for change in changes:
            altered.setdefault(change.topic, {})[change.key] = change.wanted
        if not altered:
            return
        answer: Mapping[str, Mapping[str, str]] = self._client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=configs) for name, configs in altered.items()]
        )
        # The client raises nothing here: what was refused is text in the answer.
        refused = [f"{name} ({said})" for by_name in answer.values() for name, said in by_name.items() if said != "OK"]
        if refused:
            raise ConfigurationError(f"the cluster refuses the settings of {', '.join(sorted(refused))}")

    def _await_shown(self, wanted: Mapping[str, TopicSpec]) -> None:
        """The controller has taken a change before the brokers, which answer what a topic is like, know of it."""
        until = time.monotonic() + self._timeout_ms / 1000
        while plan(wanted, self.existing(list(wanted))):
            if time.monotonic() > until:
                raise BrokerUnavailable("the changes were taken, and the brokers do not show them yet")
            time.sleep(0.05)
