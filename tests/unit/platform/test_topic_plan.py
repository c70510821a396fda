"""What `sallyport topics apply` would do, and which of it may lose records or their order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from contracts.catalog import TopicSpec, load_topics
from services.platform.kafka.topics import Change, Existing, plan

DAY = 86_400_000


def spec(**changed: object) -> TopicSpec:
    fields: dict[str, object] = {
        "name": "t.v1", "about": "a", "key": "k", "headers": "none", "partitions": 6, "cleanup": "delete",
        "owner": "ingest", "writers": ("ingest",), "readers": (), "retention_days": 90, **changed,
    }  # fmt: skip
    return TopicSpec(**fields)  # type: ignore[arg-type]


def have(partitions: int = 6, **config: str) -> Existing:
    settings = {"cleanup.policy": "delete", "retention.ms": str(90 * DAY)}
    return Existing(partitions, settings | {key.replace("_", "."): value for key, value in config.items()})


def changes(declared: TopicSpec, existing: Mapping[str, Existing]) -> list[Change]:
    return plan({declared.name: declared}, existing)


def test_what_is_missing_is_created() -> None:
    assert changes(spec(), {}) == [Change("t.v1", "create", "partitions", "-", "6")]


def test_what_is_as_declared_is_left_alone() -> None:
    assert changes(spec(), {"t.v1": have()}) == []


def test_topics_and_settings_that_nobody_declared_are_of_no_concern() -> None:
    assert changes(spec(), {"t.v1": have(segment_bytes="1024"), "other": have(1)}) == []


@pytest.mark.parametrize(
    ("declared", "existing", "key", "destructive"),
    [
        (spec(), have(3), "partitions", True),  # the keys move: their order is lost
        (spec(), have(12), "partitions", True),
        (spec(retention_days=400), have(), "retention.ms", False),
        (spec(retention_days=89), have(), "retention.ms", True),
        (spec(), have(retention_ms="-1"), "retention.ms", True),  # was kept for ever
        (spec(cleanup="compact"), have(), "cleanup.policy", True),
        (spec(), have(cleanup_policy="compact"), "cleanup.policy", True),
        (spec(), have(cleanup_policy="compact,delete"), "cleanup.policy", True),
        (spec(max_message_bytes=4_194_304), have(max_message_bytes="1048588"), "max.message.bytes", False),
        (spec(max_message_bytes=4_194_304), have(), "max.message.bytes", False),
    ],
)
def test_a_change_that_may_lose_something_is_known_as_such(
    declared: TopicSpec, existing: Existing, key: str, destructive: bool
) -> None:
    (change,) = changes(declared, {"t.v1": existing})
    assert (change.key, change.destructive) == (key, destructive)


def test_from_nothing_every_declared_topic_is_created_in_the_order_of_the_file() -> None:
    declared = load_topics()
    planned = plan(declared, {})
    assert [change.topic for change in planned] == list(declared)
    assert not any(change.destructive for change in planned)
