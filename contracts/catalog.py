"""The contracts as data: topics from `topics.yaml`, JSON Schemas from `schemas/`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
import yaml

__all__ = ["AccessSpec", "TopicSpec", "load_access", "load_schema", "load_topics", "schema_under"]

_ROOT = files("contracts")


class TopicSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One topic as `topics.yaml` declares it. `retention_days` None: compaction keeps the newest of each key."""

    name: str = ""
    about: str
    key: str
    headers: Literal["cloudevents", "none"]
    partitions: int
    cleanup: Literal["delete", "compact"]
    owner: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    schema: str | None = None
    internal: str | None = None
    derive: str | None = None
    retention_days: int | None = None
    max_message_bytes: int | None = None

    def config(self) -> dict[str, str]:
        """The broker's settings of the topic that this declaration stands for."""
        config: dict[str, str] = {"cleanup.policy": self.cleanup}
        if self.retention_days is not None:
            config["retention.ms"] = str(self.retention_days * 86_400_000)
        if self.max_message_bytes is not None:
            config["max.message.bytes"] = str(self.max_message_bytes)
        return config


class AccessSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a principal needs beside its topics. A name that ends in `*` stands for all that begin so. reads: topics
    that only its commands read."""

    groups: tuple[str, ...] = ()
    transactional_ids: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    manages: tuple[Literal["topics", "acls"], ...] = ()


@cache
def load_access() -> dict[str, AccessSpec]:
    """Every principal of ours by its short name, which is also that of `writers` and `readers`.

    Raises:
        msgspec.ValidationError: the file does not have the shape of AccessSpec.
    """
    raw = yaml.safe_load(_ROOT.joinpath("topics.yaml").read_text("utf-8"))
    return msgspec.convert(raw["access"], dict[str, AccessSpec])


@cache
def load_topics() -> dict[str, TopicSpec]:
    """Every declared topic by name.

    Raises:
        msgspec.ValidationError: the file does not have the shape of TopicSpec.
    """
    raw = yaml.safe_load(_ROOT.joinpath("topics.yaml").read_text("utf-8"))
    return {name: msgspec.convert({"name": name, **spec}, TopicSpec) for name, spec in raw["topics"].items()}


@cache
def load_schema(file_name: str) -> dict[str, Any]:
    """One JSON Schema, such as `conflict.v1.json`."""
    schema: dict[str, Any] = json.loads(_ROOT.joinpath("schemas", file_name).read_text("utf-8"))
    return schema


def schema_under(file_name: str, pointer: str) -> dict[str, Any]:
    """The schema as a part of a larger document, in which it lies at `pointer`, such as `#/components/schemas/x`.

    Its own `#/` references point there too; `$schema` and `$id`, which belong to a document, are left out.
    """
    moved: dict[str, Any] = _moved(load_schema(file_name), pointer + "/")
    return moved


def _moved(node: Any, under: str) -> Any:
    if isinstance(node, dict):
        return {
            key: under + value.removeprefix("#/") if key == "$ref" else _moved(value, under)
            for key, value in node.items()
            if key not in ("$schema", "$id")
        }
    return [_moved(item, under) for item in node] if isinstance(node, list) else node
