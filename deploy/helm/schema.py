"""The chart's values.schema.json: what may be set, and to what. `python -m deploy.helm.schema` writes it.

Strict: a name that is not in it is refused, so that a typing error is no silent default. `settings` of a service takes
what its settings class takes, with its types and bounds, but secrets and what the chart sets itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from services.ingest.settings import IngestSettings
from services.matcher.settings import MatcherSettings
from services.notifier.settings import NotifierSettings
from services.platform.settings import PlatformSettings

__all__ = ["CHART", "SETTINGS", "schema"]

Json = dict[str, Any]
CHART: Final = Path(__file__).parent / "sallyport"
SETTINGS: Final[dict[str, type[PlatformSettings]]] = {
    "ingest": IngestSettings,
    "matcher": MatcherSettings,
    "notifier": NotifierSettings,
}
OWN: Final = frozenset(
    [
        "allow_plaintext",
        "kafka_bootstrap_servers",
        "kafka_username",
        "kafka_sasl_mechanism",
        "kafka_ca_file",
        "http_host",
        "http_port",
        "log_level",
        "drain_deadline_s",
        "instance",
        "otlp_endpoint",
        "otlp_ca_file",
        "trace_sample_ratio",
        "database_ca_file",
        "migrate_on_start",
        "retry_scale",
        "allow_private_endpoints",
        "allow_plain_http",
        "smtp_starttls",
        "public_url",
        "smtp_host",
        "smtp_port",
        "smtp_username",
        "smtp_ca_file",
        "mail_from",
        "group_instance_id",
        "session_timeout_ms",
        "identity_model",
    ]
)
"""Settings that have a value of the chart, or none at all there: the first would be set twice, the second are for
development."""
PARTITIONS: Final = 12
"""Of custody.events.v1 (contracts/topics.yaml, held by test): more matchers would have nothing to do."""

TEXT: Final[Json] = {"type": "string"}
FLAG: Final[Json] = {"type": "boolean"}
MAP: Final[Json] = {"type": "object", "additionalProperties": TEXT}
ANY: Final[Json] = {"type": "object"}
PEERS: Final[Json] = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"podSelector": ANY, "namespaceSelector": ANY, "ipBlock": ANY},
    },
}


def _object(properties: Json, **more: Any) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def _list(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def _number(kind: str, **bounds: float) -> Json:
    return {"type": kind, **bounds}


PORT: Final = _number("integer", minimum=1, maximum=65535)
PORTS: Final = _list(PORT, minItems=1)
NAME: Final[Json] = {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
FILE_OF_SECRET: Final = _object({"secretName": NAME, "key": TEXT})
HOSTS: Final = _list({"type": "string", "minLength": 1})
LEVEL: Final[Json] = {"enum": ["debug", "info", "warning", "error"]}
NETWORKS: Final = _list({"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"})


def _settings(service: str) -> Json:
    """The settings that may be given by their own names: as pydantic describes them, secrets left out."""
    described: Json = SETTINGS[service].model_json_schema(by_alias=False)["properties"]
    return _object(
        {
            name: {key: value for key, value in described[name].items() if key not in ("title", "default")}
            for name in sorted(described.keys() - OWN)
            if not _is_secret(described[name])
        }
    )


def _is_secret(described: Json) -> bool:
    inner = [described.get("items", {}), *described.get("anyOf", [])]
    return described.get("format") == "password" or any(_is_secret(part) for part in inner if part)


def _service(service: str, own: Json) -> Json:
    return _object(
        {
            "replicas": _number("integer", minimum=1),
            "drainDeadlineSeconds": _number("number", exclusiveMinimum=0, maximum=3600),
            "logLevel": LEVEL,
            "settings": _settings(service),
            "resources": ANY,
            "podDisruptionBudget": _object(
                {"enabled": FLAG, "maxUnavailable": {"type": ["integer", "string"], "pattern": "^[0-9]+%$"}}
            ),
            "topologySpread": _object(
                {"enabled": FLAG, "whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]}}
            ),
            "serviceAccount": _object({"annotations": MAP}),
            "podAnnotations": MAP,
            "podLabels": MAP,
            "nodeSelector": MAP,
            "tolerations": _list(ANY),
            "affinity": ANY,
            "priorityClassName": TEXT,
            **own,
        }
    )


def _edge() -> Json:
    """The way in. What is switched on needs its hosts: an Ingress without any would answer for every name."""
    ingress = _object(
        {"enabled": FLAG, "className": TEXT, "annotations": MAP, "hosts": HOSTS, "tlsSecretName": TEXT},
        **{
            "if": {"properties": {"enabled": {"const": True}}},
            "then": {"properties": {"hosts": {"minItems": 1}, "tlsSecretName": {"minLength": 1}}},
        },
    )
    route = _object(
        {"enabled": FLAG, "parentRefs": _list(ANY), "hostnames": HOSTS},
        **{
            "if": {"properties": {"enabled": {"const": True}}},
            "then": {"properties": {"hostnames": {"minItems": 1}, "parentRefs": {"minItems": 1}}},
        },
    )
    return {
        "preStopSeconds": _number("integer", minimum=0, maximum=300),
        "service": _object(
            {"type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}, "port": PORT, "annotations": MAP}
        ),
        "edge": _object({"ingress": ingress, "httpRoute": route}),
    }


def _matcher() -> Json:
    replicas = _number("integer", minimum=1, maximum=PARTITIONS)
    return {
        "replicas": replicas,
        "staticMembership": FLAG,
        "sessionTimeoutSeconds": _number("number", minimum=6, maximum=1800),
        "identityModel": _object({"configMapName": NAME, "key": TEXT}),
        "identitySearchToken": FILE_OF_SECRET,
        "autoscaling": _object(
            {
                "enabled": FLAG,
                "minReplicas": replicas,
                "maxReplicas": replicas,
                "prometheusUrl": {"type": "string", "pattern": "^(https?://.+)?$"},
                "lagThreshold": _number("integer", minimum=1),
                "pollingIntervalSeconds": _number("integer", minimum=1),
                "scaleDownStabilizationSeconds": _number("integer", minimum=0, maximum=3600),
            }
        ),
    }


def _notifier() -> Json:
    mail = {
        "host": TEXT,
        "port": PORT,
        "from": TEXT,
        "username": TEXT,
        "passwordSecretName": NAME,
        "passwordKey": TEXT,
        "ca": FILE_OF_SECRET,
    }
    return {
        "secretsKeys": FILE_OF_SECRET,
        "publicUrl": {"type": "string", "pattern": "^(https?://.+)?$"},
        "mail": _object(mail),
        **_edge(),
    }


def _network() -> Json:
    peers = _object({"to": PEERS, "ports": PORTS})
    return _object(
        {
            "enabled": FLAG,
            "dns": _object({"to": PEERS}),
            "kafka": peers,
            "database": peers,
            "ingestFrom": PEERS,
            "notifierFrom": PEERS,
            "searchFrom": PEERS,
            "metricsFrom": PEERS,
            "traces": peers,
            "internet": _object({"ports": PORTS, "cidrs": NETWORKS, "except": NETWORKS}),
            "mailTo": PEERS,
        }
    )


def schema() -> Json:
    """The whole of values.schema.json."""
    user = _object({"username": {"type": "string", "minLength": 1}, "secretName": NAME, "passwordKey": TEXT})
    digest = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the Sallyport chart; made by `python -m deploy.helm.schema`",
        **_object(
            {
                "image": _object(
                    {
                        "registry": TEXT,
                        "tag": TEXT,
                        "digests": _object(dict.fromkeys(SETTINGS, digest)),
                        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                        "pullSecrets": _list(NAME),
                    }
                ),
                "nameOverride": NAME,
                "fullnameOverride": NAME,
                "commonLabels": MAP,
                "global": ANY,
                "kafka": _object(
                    {
                        "bootstrapServers": {"type": "string", "pattern": "^([^\\s,:]+:[0-9]+(,[^\\s,:]+:[0-9]+)*)?$"},
                        "saslMechanism": {"enum": ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]},
                        "ca": FILE_OF_SECRET,
                        "users": _object(dict.fromkeys(("operator", *SETTINGS), user)),
                    }
                ),
                "strimzi": _object({"users": _object({"enabled": FLAG, "cluster": NAME, "namespace": NAME})}),
                "database": _object({"secretName": NAME, "urlKey": TEXT, "ca": FILE_OF_SECRET}),
                "setup": _object(
                    {
                        "enabled": FLAG,
                        "topics": FLAG,
                        "acls": FLAG,
                        "replicationFactor": {"type": "integer", "minimum": -1, "not": {"const": 0}},
                        "migrate": FLAG,
                        "activeDeadlineSeconds": _number("integer", minimum=30),
                        "resources": ANY,
                    }
                ),
                "toolbox": _object({"enabled": FLAG, "resources": ANY}),
                "ingest": _service("ingest", _edge()),
                "matcher": _service("matcher", _matcher()),
                "notifier": _service("notifier", _notifier()),
                "traces": _object(
                    {
                        "endpoint": TEXT,
                        "sampleRatio": _number("number", minimum=0, maximum=1),
                        "headers": FILE_OF_SECRET,
                        "ca": FILE_OF_SECRET,
                    }
                ),
                "networkPolicy": _network(),
                "serviceMonitor": _object({"enabled": FLAG, "labels": MAP, "interval": TEXT}),
                "prometheusRule": _object({"enabled": FLAG, "labels": MAP}),
                "boards": _object(
                    {"enabled": FLAG, "label": _object({"name": TEXT, "value": TEXT}), "annotations": MAP}
                ),
            }
        ),
    }


def write() -> None:
    """Write it where Helm looks for it."""
    (CHART / "values.schema.json").write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write()
