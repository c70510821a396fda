"""deploy/compose.yaml, read and not run: what it must keep however it is changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.devstack.jars import JarLock
from deploy.images.thirdparty import UPSTREAM
from services.notifier.settings import NotifierSettings
from services.platform.settings import PlatformSettings

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
FILE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = ("setup", "ingest", "matcher-1", "matcher-2", "notifier")


def test_there_are_three_brokers_two_matchers_and_the_rest() -> None:
    assert set(SERVICES) == {
        *("kafka-1", "kafka-2", "kafka-3", "postgres", "setup"),
        *("ingest", "matcher-1", "matcher-2", "notifier", "prometheus", "alertmanager", "grafana"),
    }
    assert {name: of["profiles"] for name, of in SERVICES.items() if "profiles" in of} == {"alertmanager": ["alerts"]}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged") and "network_mode" not in service and "pid" not in service
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["mem_limit"] and service["pids_limit"]
    assert service["restart"] == ("no" if name == "setup" else "unless-stopped")
    assert service["logging"]["options"]["max-size"], "a log that grows for ever fills the disk"


def test_only_the_two_edges_are_published_and_on_this_machine_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert published == {
        "ingest": ["${INGEST_PUBLISH:-127.0.0.1:8081}:8080"],
        "notifier": ["${NOTIFIER_PUBLISH:-127.0.0.1:8082}:8080"],
    }


def test_only_the_notifier_and_alertmanager_are_on_a_network_that_leads_out_and_not_on_the_same() -> None:
    networks: dict[str, Any] = FILE["networks"]
    closed = {name for name, of in networks.items() if (of or {}).get("internal")}
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    one_way = {n for n, of in networks.items() if (of or {}).get("driver_opts", {}).get(masquerade) == "false"}
    out = set(networks) - closed - one_way
    leads = {name: out & set(service["networks"]) for name, service in SERVICES.items()}
    assert {name: of for name, of in leads.items() if of} == {"notifier": {"outside"}, "alertmanager": {"alerts"}}
    assert [name for name, service in SERVICES.items() if one_way & set(service["networks"])] == ["ingest"]
    on_database = {name for name, service in SERVICES.items() if "database" in service["networks"]}
    assert on_database == {"postgres", "setup", "notifier"}


def test_every_secret_is_a_file_and_none_is_in_the_environment() -> None:
    assert all(set(of) == {"file"} for of in FILE["secrets"].values())
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable)
            assert not secret or str(value).startswith("/run/secrets"), f"{name}: {variable}"
        mounted = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
        assert mounted <= set(FILE["secrets"])
    assert "ca-key.pem" not in (DEPLOY / "compose.yaml").read_text()


def test_who_has_which_password() -> None:
    held: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for secret in service.get("secrets", []):
            source = secret if isinstance(secret, str) else secret["source"]
            if source.endswith("-kafka-password") or source in ("database-url", "secrets-keys"):
                held.setdefault(source, set()).add(name)
    assert held == {
        "operator-kafka-password": {"setup"},
        "ingest-kafka-password": {"ingest"},
        "matcher-kafka-password": {"matcher-1", "matcher-2"},
        "notifier-kafka-password": {"notifier"},
        "database-url": {"setup", "notifier"},
        "secrets-keys": {"setup", "notifier"},
    }


@pytest.mark.parametrize("name", OURS)
def test_what_our_containers_are_told_are_settings_that_exist(name: str) -> None:
    known = {f"SALLYPORT_{field.upper()}" for field in {**NotifierSettings.model_fields, **_matcher_fields()}}
    told = set(SERVICES[name]["environment"])
    assert told <= known | {"SALLYPORT_SECRETS_DIR"}
    assert "SALLYPORT_ALLOW_PLAINTEXT" not in told
    as_files = {s["target"] for s in SERVICES[name]["secrets"] if isinstance(s, dict)}
    assert {f"SALLYPORT_{target.upper()}" for target in as_files} <= known


def _matcher_fields() -> dict[str, Any]:
    from services.matcher.settings import MatcherSettings

    return dict(MatcherSettings.model_fields)


def test_the_services_wait_for_the_set_up_and_are_given_time_to_drain() -> None:
    drain_s = PlatformSettings.model_fields["drain_deadline_s"].default
    for name in ("ingest", "matcher-1", "matcher-2", "notifier"):
        assert SERVICES[name]["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= drain_s + 5  # as services.platform.service
    waited_for = SERVICES["setup"]["depends_on"]
    assert set(waited_for) == {"kafka-1", "kafka-2", "kafka-3", "postgres"}
    assert {of["condition"] for of in waited_for.values()} == {"service_healthy"}


def test_the_matchers_are_static_members_with_names_of_their_own() -> None:
    names = [SERVICES[name]["environment"]["SALLYPORT_GROUP_INSTANCE_ID"] for name in ("matcher-1", "matcher-2")]
    assert names == ["matcher-1", "matcher-2"]


def test_every_image_is_named_by_a_variable_with_the_default_that_we_know() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    for variable, upstream in UPSTREAM.items():
        assert f"${{{variable}:-{upstream}}}" in images.values()
    assert images["kafka-1"] == f"${{KAFKA_IMAGE:-sallyport-kafka:{JarLock.read().kafka}}}"
    ours = {images[name] for name in OURS}
    names = ("ingest", "matcher", "notifier")
    assert ours == {f"${{SALLYPORT_REGISTRY:-}}sallyport-{name}:${{SALLYPORT_TAG:-dev}}" for name in names}


def test_the_cluster_keeps_three_copies_and_takes_a_record_when_two_have_it() -> None:
    lines = (DEPLOY / "kafka" / "cluster.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert settings["default.replication.factor"] == "3" and settings["min.insync.replicas"] == "2"
    assert settings["transaction.state.log.min.isr"] == "2" and settings["unclean.leader.election.enable"] == "false"
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    protocols = settings["listener.security.protocol.map"]
    assert protocols == "CLIENTS:SASL_SSL,BROKERS:SSL,CONTROLLER:SSL"
    assert settings["ssl.client.auth"] == "required"
