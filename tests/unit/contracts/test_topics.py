"""topics.yaml says only what exists: schemas, id functions, services."""

from __future__ import annotations

import msgspec
import pytest

from contracts import ids
from contracts.catalog import TopicSpec, load_schema, load_topics
from tests.unit.contracts.support import TYPES

TOPICS = [pytest.param(spec, id=name) for name, spec in load_topics().items()]
SERVICES = {"ingest", "matcher", "notifier", "operator"}


@pytest.mark.parametrize("spec", TOPICS)
def test_a_topic_has_a_schema_or_is_one_services_own_business(spec: TopicSpec) -> None:
    assert (spec.schema is None) != (spec.internal is None)
    if spec.schema is not None:
        assert load_schema(spec.schema)["title"]
        assert spec.headers == "cloudevents"
    else:
        assert spec.headers == "none"
        assert spec.writers == spec.readers == (spec.internal,)
        assert spec.owner == spec.internal


@pytest.mark.parametrize("spec", TOPICS)
def test_the_key_of_a_topic_is_made_by_a_function_that_exists(spec: TopicSpec) -> None:
    assert spec.key
    if spec.derive is not None:
        assert spec.derive in ids.__all__
        assert callable(getattr(ids, spec.derive))


@pytest.mark.parametrize("spec", TOPICS)
def test_whoever_writes_or_reads_exists(spec: TopicSpec) -> None:
    assert {spec.owner, *spec.writers, *spec.readers} <= SERVICES
    assert spec.writers
    assert len(set(spec.writers)) == len(spec.writers)


@pytest.mark.parametrize("spec", TOPICS)
def test_records_are_deleted_after_a_time_or_compacted_and_not_both(spec: TopicSpec) -> None:
    assert (spec.cleanup == "delete") == (spec.retention_days is not None)
    assert spec.partitions >= 1
    config = spec.config()
    assert config["cleanup.policy"] == spec.cleanup
    assert config.get("retention.ms") == (
        str(spec.retention_days * 24 * 3600 * 1000) if spec.retention_days is not None else None
    )


def test_an_episode_and_its_state_lie_in_partitions_of_the_same_number() -> None:
    """The owner of a partition of events restores the episodes from the same partition of the changelog."""
    topics = load_topics()
    assert topics["custody.state.v1"].partitions == topics["custody.events.v1"].partitions


def test_every_schema_is_of_a_topic_or_of_an_edge() -> None:
    """Agencies send detainer-command.v1, and are sent notice.v1 and ping.v1; none of the three is on a topic."""
    on_topics = {spec.schema for spec in load_topics().values() if spec.schema is not None}
    at_edges = {f"{name}.json" for name in ("detainer-command.v1", "notice.v1", "ping.v1")}
    assert {f"{name}.json" for name in TYPES} == on_topics | at_edges
    assert not on_topics & at_edges


def test_a_declaration_with_a_word_that_is_unknown_is_refused() -> None:
    good = msgspec.to_builtins(load_topics()["rejects.v1"])
    assert msgspec.convert(good, TopicSpec) == load_topics()["rejects.v1"]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, "retention_hours": 1}, TopicSpec)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, "cleanup": "compact,delete"}, TopicSpec)
