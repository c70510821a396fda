"""Every example is taken by its schema and its type, every counter-example is refused by both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from contracts.catalog import load_schema
from contracts.types.conflict import Alert, Decision, ReviewStatus, Stage
from contracts.types.detainer import DetainerState
from contracts.types.feed import BreakerState, FeedState
from contracts.types.notice import NoticeOutcome
from tests.unit.contracts.support import EXAMPLES, TYPES, decoder, examples, load, type_takes, validator

VALID = [pytest.param(name, path, id=f"{name}/{path.stem}") for name, path in examples()]
INVALID = [pytest.param(name, path, id=f"{name}/{path.stem}") for name, path in examples(invalid=True)]


def values(name: str, field: str) -> set[str]:
    return {str(load(path)[field]) for schema, path in examples() if schema == name}


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_itself_valid_and_names_its_version(name: str) -> None:
    schema = load_schema(f"{name}.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sallyport:schema:{name.replace('.v', ':')}"
    assert schema["title"]
    assert schema["description"]


def properties(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in properties(item)]
    if not isinstance(node, dict):
        return []
    return [*node.get("properties", {}).items(), *(found for value in node.values() for found in properties(value))]


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_a_schema_says_what_it_means(name: str) -> None:
    found = properties(load_schema(f"{name}.json"))
    assert found
    assert [field for field, schema in found if not schema.get("description")] == []


def test_every_schema_has_examples_and_counter_examples() -> None:
    assert {path.stem for path in (EXAMPLES.parent / "schemas").iterdir()} == set(TYPES)
    assert {name for name, _ in examples()} == set(TYPES)
    assert {name for name, _ in examples(invalid=True)} == set(TYPES)


@pytest.mark.parametrize(("name", "path"), VALID)
def test_an_example_is_taken_by_both_and_comes_back_the_same(name: str, path: Path) -> None:
    document = load(path)
    validator(name).validate(document)
    value = decoder(name).decode(path.read_bytes())
    written = msgspec.json.encode(value)
    assert decoder(name).decode(written) == value
    validator(name).validate(msgspec.json.decode(written))


@pytest.mark.parametrize(("name", "path"), INVALID)
def test_a_counter_example_is_refused_by_both(name: str, path: Path) -> None:
    document = load(path)
    assert not validator(name).is_valid(document)
    assert not type_takes(name, document)


def test_the_examples_cover_every_kind() -> None:
    def tags(name: str, field: str) -> set[str]:
        schema = load_schema(f"{name}.json")
        return {
            schema["$defs"][member["$ref"].rpartition("/")[2]]["properties"][field]["const"]
            for member in schema["anyOf"]
        }

    assert values("custody-event.v1", "kind") == tags("custody-event.v1", "kind")
    assert values("detainer-command.v1", "action") == tags("detainer-command.v1", "action")
    assert values("registry-record.v1", "kind") == tags("registry-record.v1", "kind")


def test_the_examples_cover_every_word_that_the_services_say() -> None:
    assert values("conflict.v1", "stage") == set(Stage)
    conflicts = [load(path) for schema, path in examples() if schema == "conflict.v1"]
    assert {alert for conflict in conflicts for alert in conflict.get("alerts", [])} == set(Alert)
    assert values("review-decision.v1", "decision") == set(Decision)
    assert values("breaker.v1", "state") == set(BreakerState)
    assert values("feed-status.v1", "state") == set(FeedState)
    assert values("review.v1", "status") == set(ReviewStatus)
    assert values("notice-event.v1", "outcome") == set(NoticeOutcome)
    assert values("detainer.v1", "state") >= {
        DetainerState.ACTIVE,
        DetainerState.LIFTED,
        DetainerState.CUSTODY_ASSUMED,
        DetainerState.DECLINED,
        DetainerState.SUPERSEDED,
    }
