"""Where an operator's commands are run: each with the login that it needs, and with what `sallyport` asks for."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.helm.schema import SETTINGS
from services.platform.settings import PlatformSettings
from tests.helm.chart import Chart, Object, only
from tests.helm.test_rendered import pod
from tests.helm.test_schemas import EVERYTHING

CA = "/run/sallyport/ca"
LOGINS: dict[str, type[PlatformSettings]] = {
    "operator": PlatformSettings,
    "notifier": SETTINGS["notifier"],
    "matcher": SETTINGS["matcher"],
}
FILES = {
    "operator": {"kafka_password": "kafka-operator"},
    "notifier": {"kafka_password": "kafka-notifier", "database_url": "db", "secrets_keys": "keys"},
    "matcher": {"kafka_password": "kafka-matcher"},
}


def containers(spec: Object) -> dict[str, Any]:
    return {container["name"]: container for container in spec["containers"]}


def mounted(spec: Object, container: Object) -> dict[str, str]:
    """Path -> name of the secret."""
    volumes = {volume["name"]: volume.get("projected", {}).get("sources", []) for volume in spec["volumes"]}
    return {
        f"{mount['mountPath']}/{item['path']}": source["secret"]["name"]
        for mount in container["volumeMounts"]
        for source in volumes[mount["name"]]
        for item in source["secret"]["items"]
    }


def test_the_operator_is_who_one_is_unless_another_is_named(chart: Chart) -> None:
    template = only(chart.with_minimal(), "Deployment", "toolbox")["spec"]["template"]
    assert template["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "operator"}
    assert next(iter(containers(template["spec"]))) == "operator"


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["minimal", "everything"])
def test_each_login_has_its_own_secrets_and_no_other(
    chart: Chart, login: str, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = pod(chart.with_minimal(values), "toolbox")
    container = containers(spec)[login]
    found = mounted(spec, container)
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    directory = given["SALLYPORT_SECRETS_DIR"]
    assert {Path(p).name: name for p, name in found.items() if p.startswith(f"{directory}/")} == FILES[login]
    assert {value for name, value in given.items() if name.endswith("_CA_FILE")} <= found.keys()
    assert container["image"].endswith(f"/sallyport-{'matcher' if login == 'matcher' else 'notifier'}:0.1.0")

    for name in FILES[login]:
        (tmp_path / name).write_text(f"of-{name}\n", "utf-8")
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = LOGINS[login]()
    assert settings.kafka_username == f"sallyport-{login}"
    assert settings.kafka_password.get_secret_value() == "of-kafka_password"
    assert bool(settings.kafka_ca_file) == bool(values)


@pytest.mark.parametrize("login", ["notifier", "matcher"])
def test_a_group_of_another_name_is_the_one_that_is_moved(chart: Chart, login: str) -> None:
    objects = chart.with_minimal({login: {"settings": {"group_id": "county"}}})
    assert {"name": "SALLYPORT_GROUP_ID", "value": "county"} in containers(pod(objects, "toolbox"))[login]["env"]


def test_the_state_is_built_with_the_memory_of_a_matcher(chart: Chart) -> None:
    objects = chart.with_minimal(
        {"toolbox": {"resources": {"limits": {"cpu": "1"}}}, "matcher": {"resources": {"limits": {"memory": "9Gi"}}}}
    )
    assert pod(objects, "matcher")["containers"][0]["resources"]["limits"] == {"memory": "9Gi"}
    found = {name: c["resources"] for name, c in containers(pod(objects, "toolbox")).items()}
    assert found["matcher"]["limits"] == {"memory": "9Gi"}
    assert found["operator"]["limits"] == found["notifier"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    assert {c["requests"]["memory"] for c in found.values()} == {"32Mi"}


def test_it_ends_as_soon_as_it_is_told_to(chart: Chart) -> None:
    """The command, run: status 0 is its own, and not the signal's, which a first process would not have got."""
    spec = pod(chart.with_minimal(), "toolbox")
    (command,) = {tuple(container["command"]) for container in spec["containers"]}
    with subprocess.Popen(["setsid", *command], stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)  # it stays
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_no_toolbox(chart: Chart) -> None:
    objects = chart.with_minimal({"toolbox": {"enabled": False}})
    components = {o["metadata"]["labels"]["app.kubernetes.io/component"] for o in objects}
    assert "toolbox" not in components
    assert "exec" not in chart.notes({"toolbox": {"enabled": False}})
    assert "exec -i deploy/sp-sallyport-toolbox -- sallyport registry apply /dev/stdin" in chart.notes()
