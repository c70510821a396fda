"""The documents that the services generate of themselves, against the contracts and against the standards."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from faststream.kafka import KafkaBroker
from openapi_spec_validator import OpenAPIV31SpecValidator

from contracts.catalog import load_topics
from contracts.cloudevents import Attributes, encode_headers
from services.platform.asyncapi import asyncapi_document
from services.platform.errors import ConfigurationError
from services.platform.kafka.outlets import declare
from services.platform.operator.contracts import KINDS, SERVICES, Kind, Name, document, render

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "api"
# The official schema of AsyncAPI 3.0 (npm @asyncapi/specs 6.11.1, Apache-2.0), without its prose.
ASYNCAPI = jsonschema.Draft7Validator(json.loads((HERE / "asyncapi-3.0.0.json").read_text()))


def topics(found: dict[str, Any], action: str) -> set[str]:
    """The addresses of the channels that the document's operations of one action are on."""
    return {
        found["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]["address"]
        for operation in found["operations"].values()
        if operation["action"] == action
    }


def resolve(found: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = found
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_and_writes_the_topics_that_the_contracts_say(service: Name) -> None:
    found = document("asyncapi", service)
    declared = load_topics().values()
    assert topics(found, "send") == {spec.name for spec in declared if service in spec.writers}
    assert topics(found, "receive") == {spec.name for spec in declared if service in spec.readers}


@pytest.mark.parametrize("service", SERVICES)
def test_keys_headers_partitions_and_payloads_are_those_of_the_contracts(service: Name) -> None:
    found = document("asyncapi", service)
    for channel in found["channels"].values():
        spec = load_topics()[channel["address"]]
        binding = channel["bindings"]["kafka"]
        assert (binding["topic"], binding["partitions"]) == (spec.name, spec.partitions)
        assert binding["topicConfiguration"]["cleanup.policy"] == [spec.cleanup]
        (record,) = channel["messages"].values()
        message = resolve(found, record)
        assert message["bindings"]["kafka"]["key"]["description"] == spec.key
        assert ("headers" in message) == (spec.headers == "cloudevents")
        assert ("payload" in message) == (spec.schema is not None)
        if spec.schema is not None:
            payload = resolve(found, message["payload"])["schema"]
            assert payload["title"] == message["title"]
            for reference in references(payload):
                assert resolve(found, {"$ref": reference})


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in references(value)]


@pytest.mark.parametrize("service", SERVICES)
def test_the_headers_of_the_document_are_those_that_are_written(service: Name) -> None:
    now = datetime.now(UTC)
    written = {k: v.decode() for k, v in encode_headers(Attributes("e", "s", "t", now, now))}
    for message in document("asyncapi", service)["components"]["messages"].values():
        if "headers" in message:
            assert set(message["headers"]["required"]) == set(written)
            jsonschema.Draft202012Validator(message["headers"]).validate(written)


@pytest.mark.parametrize("service", SERVICES)
def test_the_asyncapi_document_is_valid_by_the_schema_of_the_standard(service: Name) -> None:
    found = document("asyncapi", service)
    assert [error.message for error in ASYNCAPI.iter_errors(found)] == []
    for reference in references(found):
        assert resolve(found, {"$ref": reference}) is not None
    first = next(iter(found["operations"].values()))
    first["action"] = "publish"  # a word of AsyncAPI 2
    assert not ASYNCAPI.is_valid(found)


@pytest.mark.parametrize("service", SERVICES)
def test_the_openapi_document_is_valid_and_every_answer_says_what_it_means(service: Name) -> None:
    found = document("openapi", service)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        OpenAPIV31SpecValidator(found).validate()
    ids = []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            ids.append(operation["operationId"])
            assert operation["summary"], where
            statuses = set(operation["responses"])
            assert any(status.startswith("2") for status in statuses), where
            assert "default" in statuses, where
            assert all(response["description"] for response in operation["responses"].values()), where
            if operation.get("security"):
                assert {"401", "403"} <= statuses, where
            if "requestBody" in operation:
                assert statuses & {"400", "413", "415", "422"}, where
            for parameter in operation["parameters"]:
                assert parameter["in"] == "path" or parameter["description"], where
    assert len(set(ids)) == len(ids)
    assert {"/livez", "/readyz", "/metrics"} <= found["paths"].keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("service", SERVICES)
def test_the_document_in_docs_api_is_current(service: Name, kind: Kind) -> None:
    kept = DOCS / f"{service}.{kind}.json"
    assert kept.read_text("utf-8") == render(document(kind, service)), "make it so: sallyport contracts write"


def test_a_topic_that_is_not_declared_cannot_be_used() -> None:
    broker = KafkaBroker("localhost:1")
    declare(broker, ["conflicts.v2"])
    with pytest.raises(ConfigurationError, match=r"conflicts\.v2"):
        asyncapi_document("matcher", broker)


def test_what_is_read_past_the_broker_is_in_the_document() -> None:
    broker = KafkaBroker("localhost:1")
    declare(broker, ["custody.state.v1"], reads=["custody.state.v1"])
    found = asyncapi_document("matcher", broker)
    assert topics(found, "receive") == topics(found, "send") == {"custody.state.v1"}
