"""The AsyncAPI 3.0 document of a service, generated from the service as it is composed.

FastStream's own generator says which topics the broker's subscribers and publishers are on; that is all that it can
know, since handlers here take raw batches. The contracts say the rest: the schema of the data, the headers, the key,
the partitions. So a topic that a service uses and the contracts do not know cannot be documented, and is an error.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import LogicSubscriber
from faststream.specification import AsyncAPI

from contracts.catalog import TopicSpec, load_schema, load_topics, schema_under
from contracts.cloudevents import CONTENT_TYPE, SPEC_VERSION
from services.platform.errors import ConfigurationError
from services.platform.http.edge import Edge
from services.platform.kafka.outlets import declared_reads

__all__ = ["Composed", "asyncapi_document"]

_BINDING: Final = "0.5.0"
_SCHEMA_FORMAT: Final = "application/schema+json;version=draft/2020-12"
_HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_acceptedtime", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": SPEC_VERSION},
        "ce_id": {"type": "string", "minLength": 1, "description": "Unique within the source."},
        "ce_source": {"type": "string", "minLength": 1, "description": "Registered source, or sallyport/SERVICE."},
        "ce_type": {"type": "string", "minLength": 1, "description": "Such as sallyport.custody.released.v1."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened, or was decided."},
        "ce_acceptedtime": {
            "type": "string",
            "format": "date-time",
            "description": "When ingest took the input that the event goes back to.",
        },
        "ce_traceparent": {
            "type": "string",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "description": "Distributed Tracing extension: the span that led here, where there is a trace.",
        },
        "content-type": {"type": "string", "const": CONTENT_TYPE},
    },
}


class Composed(Protocol):
    """A service as its composition root builds it. `describe()` in each `app.py` returns one, never started."""

    @property
    def broker(self) -> KafkaBroker: ...

    @property
    def edge(self) -> Edge: ...


def asyncapi_document(service: str, broker: KafkaBroker) -> dict[str, Any]:
    """What `service` receives and sends on Kafka.

    Raises:
        ConfigurationError: the service uses a topic that contracts/topics.yaml does not declare.
    """
    receives, sends = _used(broker)
    receives.update(dict.fromkeys(declared_reads(broker), "Read past the broker, by a consumer of its own."))
    used = {topic: _declared(topic) for topic in sorted(receives.keys() | sends.keys())}
    operations: dict[str, Any] = {}
    for topic, text in sorted(receives.items()):
        operations[f"receive.{topic}"] = _operation("receive", topic, text, _group(broker, topic))
    for topic in sorted(sends):
        operations[f"send.{topic}"] = _operation("send", topic, "", None)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Sallyport {service}",
            "version": "1.0.0",
            "description": f"What the service {service} receives and sends on Kafka: CloudEvents 1.0 in binary mode.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka-secure",
                "security": [{"type": "scramSha512", "description": "SALLYPORT_KAFKA_USERNAME (docs/security.md)"}],
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "KAFKA_BOOTSTRAP_SERVERS"}},
            }
        },
        "channels": {topic: _channel(spec) for topic, spec in used.items()},
        "operations": operations,
        "components": {
            "messages": {topic: _message(spec) for topic, spec in used.items()},
            "schemas": {
                spec.schema.removesuffix(".json"): _payload(spec.schema)
                for spec in used.values()
                if spec.schema is not None
            },
        },
    }


def _used(broker: KafkaBroker) -> tuple[dict[str, str], dict[str, str]]:
    """(topic -> description) of what FastStream's document says is received, and of what is sent."""
    document = AsyncAPI(broker, schema_version="3.0.0").to_specification().to_jsonable()
    found: dict[str, dict[str, str]] = {"receive": {}, "send": {}}
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]
        found[operation["action"]][channel["address"]] = channel.get("description") or ""
    return found["receive"], found["send"]


def _declared(topic: str) -> TopicSpec:
    spec = load_topics().get(topic)
    if spec is None:
        raise ConfigurationError(f"the topic {topic} is used and not declared in contracts/topics.yaml")
    return spec


def _group(broker: KafkaBroker, topic: str) -> str | None:
    groups = [s.group_id for s in broker.subscribers if isinstance(s, LogicSubscriber) and topic in s.topic_names]
    return next((group for group in groups if group), None)


def _operation(action: str, topic: str, text: str, group: str | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/record"}],
    }
    if text:
        operation["summary"] = text
    if group is not None:
        operation["bindings"] = {
            "kafka": {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": _BINDING},
        }
    return operation


def _channel(spec: TopicSpec) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": [spec.cleanup]}
    for key, value in spec.config().items():
        if key != "cleanup.policy":
            configuration[key] = int(value)
    return {
        "address": spec.name,
        "description": spec.about,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {"record": {"$ref": f"#/components/messages/{spec.name}"}},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(spec: TopicSpec) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": spec.name,
        "contentType": CONTENT_TYPE,
        "bindings": {
            "kafka": {"key": {"type": "string", "description": spec.key}, "bindingVersion": _BINDING},
        },
    }
    if spec.schema is None:
        message["summary"] = f"The format is the business of {spec.internal} alone."
        return message
    schema = load_schema(spec.schema)
    message |= {
        "title": schema["title"],
        "summary": schema["description"],
        "payload": {"$ref": f"#/components/schemas/{spec.schema.removesuffix('.json')}"},
    }
    if spec.headers == "cloudevents":
        message["headers"] = _HEADERS
    if spec.cleanup == "compact":
        message["description"] = "A record without data takes its key out."
    return message


def _payload(file_name: str) -> dict[str, Any]:
    pointer = f"#/components/schemas/{file_name.removesuffix('.json')}/schema"
    return {"schemaFormat": _SCHEMA_FORMAT, "schema": schema_under(file_name, pointer)}
