"""Values that make no sense are refused before anything is installed, with the name of the value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import Chart

Case = tuple[dict[str, Any], list[str]]
CASES: dict[str, Case] = {
    "a typing error": ({"matcher": {"replica": 3}}, ["matcher", "replica"]),
    "a typing error at the top": ({"notifer": {}}, ["notifer"]),
    "a setting that there is not": ({"matcher": {"settings": {"lookback_days": 3}}}, ["settings", "lookback_days"]),
    "a setting of another service": ({"ingest": {"settings": {"look_back_days": 3}}}, ["look_back_days"]),
    "a setting out of its bounds": ({"matcher": {"settings": {"breaker_share": 1.5}}}, ["breaker_share"]),
    "a setting of another type": ({"ingest": {"settings": {"max_batch_events": "many"}}}, ["max_batch_events"]),
    "a secret among the settings": ({"notifier": {"settings": {"smtp_password": "x"}}}, ["smtp_password"]),
    "plain text": ({"ingest": {"settings": {"allow_plaintext": True}}}, ["allow_plaintext"]),
    "webhooks into the cluster": (
        {"notifier": {"settings": {"allow_private_endpoints": True}}},
        ["allow_private_endpoints"],
    ),
    "webhooks in plain text": ({"notifier": {"settings": {"allow_plain_http": True}}}, ["allow_plain_http"]),
    "e-mail in plain text": ({"notifier": {"settings": {"smtp_starttls": False}}}, ["smtp_starttls"]),
    "retries as tests have them": ({"notifier": {"settings": {"retry_scale": 0.1}}}, ["retry_scale"]),
    "more matchers than partitions": ({"matcher": {"replicas": 13}}, ["replicas", "12"]),
    "scaling beyond the partitions": ({"matcher": {"autoscaling": {"maxReplicas": 13}}}, ["maxReplicas", "12"]),
    "scaling upside down": (
        {
            "matcher": {
                "autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 3, "prometheusUrl": "http://p"}
            }
        },
        ["maxReplicas is less than minReplicas"],
    ),
    "scaling by nothing": ({"matcher": {"autoscaling": {"enabled": True}}}, ["matcher.autoscaling.prometheusUrl"]),
    "none of a service": ({"ingest": {"replicas": 0}}, ["replicas"]),
    "a short session": ({"matcher": {"sessionTimeoutSeconds": 1}}, ["sessionTimeoutSeconds"]),
    "no registry": ({"image": {"registry": ""}}, ["image.registry"]),
    "a digest that is none": ({"image": {"digests": {"ingest": "latest"}}}, ["digests"]),
    "brokers without ports": ({"kafka": {"bootstrapServers": "kafka"}}, ["bootstrapServers"]),
    "no brokers": ({"kafka": {"bootstrapServers": ""}}, ["kafka.bootstrapServers"]),
    "an unknown mechanism": ({"kafka": {"saslMechanism": "GSSAPI"}}, ["saslMechanism"]),
    "a user without a secret": (
        {"kafka": {"users": {"matcher": {"secretName": ""}}}},
        ["kafka.users.matcher.secretName"],
    ),
    "no database": ({"database": {"secretName": ""}}, ["database.secretName"]),
    "no keys": ({"notifier": {"secretsKeys": {"secretName": ""}}}, ["notifier.secretsKeys.secretName"]),
    "a mail user without a password": (
        {"notifier": {"mail": {"host": "h", "from": "a@b", "username": "u"}}},
        ["notifier.mail.passwordSecretName"],
    ),
    "e-mail of nobody": ({"notifier": {"mail": {"host": "h"}}}, ["notifier.mail.from"]),
    "an ingress for every name": ({"ingest": {"edge": {"ingress": {"enabled": True}}}}, ["ingress", "hosts"]),
    "an ingress without TLS": (
        {"ingest": {"edge": {"ingress": {"enabled": True, "hosts": ["i.example.org"]}}}},
        ["tlsSecretName"],
    ),
    "a route to nowhere": ({"notifier": {"edge": {"httpRoute": {"enabled": True}}}}, ["httpRoute", "parentRefs"]),
    "a network without brokers": ({"networkPolicy": {"kafka": {"to": []}}}, ["networkPolicy.kafka.to"]),
    "a network without a database": ({"networkPolicy": {"database": {"to": []}}}, ["networkPolicy.database.to"]),
    "traces that cannot get out": ({"traces": {"endpoint": "http://c:4318"}}, ["networkPolicy.traces.to"]),
    "a peer that is none": ({"networkPolicy": {"ingestFrom": [{"cidr": "10.0.0.0/8"}]}}, ["ingestFrom"]),
    "a peer that is everybody": ({"networkPolicy": {"ingestFrom": [{}]}}, ["ingestFrom"]),
    "a share above one": ({"traces": {"sampleRatio": 2}}, ["sampleRatio"]),
    "our ACLs beside Strimzi's": (
        {"strimzi": {"users": {"enabled": True, "cluster": "c", "namespace": "n"}}},
        ["setup.acls"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(chart: Chart, name: str) -> None:
    values, wanted = CASES[name]
    said = chart.refusal(values)
    for part in wanted:
        assert part in said
