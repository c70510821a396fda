"""What the chart sets is a setting that the service has, and is taken: the settings classes are built from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from deploy.helm.schema import SETTINGS, schema
from services.notifier.settings import NotifierSettings
from services.platform.settings import PlatformSettings
from tests.helm.chart import Chart, Objects
from tests.helm.test_rendered import env, files, pod
from tests.helm.test_schemas import EVERYTHING

DIRECTORY = "SALLYPORT_SECRETS_DIR"


def _fields(settings: type[PlatformSettings]) -> set[str]:
    return {f"SALLYPORT_{name.upper()}" for name in settings.model_fields}


def _secret_names(objects: Objects, service: str, directory: str) -> set[str]:
    return {Path(path).name for path in files(objects, service) if path.startswith(f"{directory}/")}


@pytest.mark.parametrize("service", SETTINGS)
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["minimal", "everything"])
def test_every_variable_and_every_file_is_a_setting_of_its_service(
    chart: Chart, service: str, values: dict[str, Any]
) -> None:
    objects = chart.with_minimal(values)
    given = env(objects, service)
    assert given.keys() - {DIRECTORY} <= _fields(SETTINGS[service])
    names = _secret_names(objects, service, given[DIRECTORY])
    assert {f"SALLYPORT_{name.upper()}" for name in names} <= _fields(SETTINGS[service])
    assert "kafka_password" in names


def test_so_it_is_for_the_set_up(chart: Chart) -> None:
    objects = chart.with_minimal(EVERYTHING)
    (topics,), (migrate,) = pod(objects, "setup")["initContainers"], pod(objects, "setup")["containers"]
    for container, settings, wanted in (
        (topics, PlatformSettings, {"kafka_password"}),
        (migrate, NotifierSettings, {"database_url"}),
    ):
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        assert given.keys() - {DIRECTORY} <= _fields(settings)
        assert _secret_names(objects, "setup", given[DIRECTORY]) == wanted


@pytest.mark.parametrize("service", SETTINGS)
def test_the_service_takes_them(chart: Chart, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = chart.with_minimal(EVERYTHING)
    given = env(objects, service)
    for name in _secret_names(objects, service, given[DIRECTORY]):
        (tmp_path / name).write_text(f"of-{name}\n", "utf-8")
    for name, value in given.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else f"sp-sallyport-{service}-0")
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = SETTINGS[service]()
    assert settings.kafka_bootstrap_servers == "kafka.example.org:9093"
    assert settings.kafka_username == f"sallyport-{service}"
    assert settings.kafka_password.get_secret_value() == "of-kafka_password"
    assert not settings.allow_plaintext
    assert settings.otlp_headers.get_secret_value() == "of-otlp_headers"
    assert settings.otlp_ca_file in files(objects, service)
    assert settings.http_host == "0.0.0.0"
    assert settings.instance == f"sp-sallyport-{service}-0"
    if isinstance(settings, NotifierSettings):
        assert settings.database_url.get_secret_value() == "of-database_url"
        assert [key.get_secret_value() for key in settings.secrets_keys] == ["of-secrets_keys"]
        assert settings.smtp_password.get_secret_value() == "of-smtp_password"
        assert settings.mail_from == "n@example.org"
    if service == "matcher":
        assert settings.model_dump()["group_instance_id"] == "sp-sallyport-matcher-0"
        assert settings.model_dump()["look_back_days"] == 60


@pytest.mark.parametrize("service", SETTINGS)
def test_a_secret_cannot_be_given_in_the_clear(service: str) -> None:
    open_to = schema()["properties"][service]["properties"]["settings"]["properties"]
    secrets = {
        "kafka_password",
        "database_url",
        "secrets_keys",
        "smtp_password",
        "identity_search_token",
        "otlp_headers",
    }
    assert not secrets & open_to.keys()
    assert open_to.keys() <= SETTINGS[service].model_fields.keys()
    assert {"kafka_request_timeout_ms", "stall_after_s"} <= open_to.keys()


@pytest.mark.parametrize("service", SETTINGS)
def test_what_is_for_development_cannot_be_given(service: str) -> None:
    fields = SETTINGS[service].model_fields
    meant = {name for name, field in fields.items() if re.search(r"[Dd]evelopment|in tests", field.description or "")}
    assert "allow_plaintext" in meant
    assert not meant & schema()["properties"][service]["properties"]["settings"]["properties"].keys()
