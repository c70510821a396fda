"""What is in the images, and what is not."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from deploy.devstack.stack import checkout_root
from deploy.images.engine import Engine

_INSTALLED = """
import json
from importlib.metadata import distributions
names = {d.metadata["Name"].lower().replace("_", "-").replace(".", "-") for d in distributions()}
print(json.dumps(sorted(names - {"sallyport"})))
"""
_LABELS = ("title", "description", "version", "revision", "created", "source", "licenses", "vendor")


def _inside(engine: Engine, image: str, script: str, *options: str) -> str:
    """What a shell says in a container of the image."""
    return engine.text("run", "--rm", "--network=none", "--entrypoint=sh", *options, image, "-c", script)


def _installed(engine: Engine, image: str) -> set[str]:
    said = engine.text("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", _INSTALLED)
    return set(json.loads(said))


def test_no_image_carries_what_only_another_needs(engine: Engine, images: dict[str, str]) -> None:
    has = {service: _installed(engine, image) for service, image in images.items()}
    only_matcher, only_notifier = has["matcher"] - has["ingest"], has["notifier"] - has["ingest"]
    assert {"numpy", "rapidfuzz", "jellyfish", "holidays", "anyascii"} <= only_matcher
    assert {"sqlalchemy", "asyncpg", "alembic", "cryptography", "aiosmtplib"} <= only_notifier
    assert not only_matcher & only_notifier
    assert has["ingest"] <= has["matcher"] & has["notifier"], "ingest has what neither of the others has"


def test_it_carries_one_service_and_says_so_of_the_others(engine: Engine, image: str, service: str) -> None:
    found = _inside(engine, image, "ls /opt/sallyport/app/services").split()
    assert sorted(found) == sorted(["__init__.py", "platform", service])
    other = "ingest" if service != "ingest" else "matcher"
    asked = engine.run("run", "--rm", "--network=none", image, other, check=False)
    assert asked.returncode == 2
    assert asked.stderr.decode().strip() == (f"not_installed: this image does not carry the package services.{other}")


def test_the_code_is_this_checkouts(engine: Engine, image: str, service: str) -> None:
    """An image from before a change would make the tests of today say nothing."""
    root, places = checkout_root(), ("contracts", "services/platform", f"services/{service}")
    said = _inside(engine, image, f"cd /opt/sallyport/app && find {' '.join(places)} -name '*.py' | xargs md5sum")
    sums = {name: digest for digest, name in (line.split() for line in said.splitlines())}
    ours = {str(file.relative_to(root)): file for place in places for file in (root / place).rglob("*.py")}
    assert sums.keys() == ours.keys(), "run `make images`"
    for name, file in ours.items():
        digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        assert sums[name] == digest, f"{name} is another one: run `make images`"


def test_nothing_installs_compiles_or_elevates(engine: Engine, image: str) -> None:
    tools = "pip pip3 gcc cc g++ ld make strip uv curl wget git"
    assert _inside(engine, image, f"for t in {tools}; do command -v $t; done; true").strip() == ""
    assert _inside(engine, image, "python -c 'import pip' 2>&1 || true").strip().endswith("No module named 'pip'")
    risky = "find / -xdev -perm /6000 -type f -not -path '/proc/*' 2>/dev/null; getcap -r / 2>/dev/null; true"
    assert _inside(engine, image, risky, "--user=0").strip() == ""


def test_only_root_can_change_what_is_run(engine: Engine, image: str) -> None:
    assert _inside(engine, image, "find /opt/sallyport \\( -writable -o ! -user root \\) ! -type l").strip() == ""


def test_no_secret_and_no_way_to_an_index_is_in_a_layer(engine: Engine, image: str) -> None:
    history = engine.text("history", "--no-trunc", "--format={{.CreatedBy}}", image)
    assert not re.search(r"PIP_|INDEX|_PROXY|PASSWORD|SECRET|TOKEN|CERT", history)
    (config,) = (found["Config"] for found in engine.inspect(image))
    names = {variable.partition("=")[0] for variable in config["Env"]}
    ours = {"PATH", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "SALLYPORT_HTTP_HOST", "SALLYPORT_HTTP_PORT"}
    assert ours <= names <= ours | {"GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256"}  # the last three: python:3.12-slim
    files = "find / -xdev \\( -name 'pip.conf' -o -name '.netrc' -o -name '*.whl' -o -name '.env' -o -name '.git' \\)"
    private = "grep -rlE 'BEGIN (RSA |EC )?PRIVATE KEY' /opt /etc /root /tmp /build 2>/dev/null || true"
    found = _inside(engine, image, f"{files} -not -path '/proc/*' 2>/dev/null; {private}", "--user=0").split()
    assert found == []


def test_it_is_labelled_and_set_up_as_an_operator_expects(engine: Engine, image: str, service: str) -> None:
    (found,) = engine.inspect(image)
    config: dict[str, Any] = found["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert set(_LABELS) <= set(labels) and all(labels[name] for name in _LABELS)
    assert labels["title"] == f"sallyport-{service}" and labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", labels["revision"])
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["sallyport"] and config["Cmd"] == [service]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert set(config["ExposedPorts"]) == {"8080/tcp"}
    assert _inside(engine, image, "id -u; id -g").split() == ["10001", "10001"]


def test_the_sbom_lists_exactly_what_is_installed(engine: Engine, image: str, sbom: dict[str, Any]) -> None:
    versions = """
import json
from importlib.metadata import distributions
print(json.dumps(sorted([d.metadata["Name"], d.version] for d in distributions() if d.name != "sallyport")))
"""
    said = engine.text("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", versions)
    listed = sorted([component["name"], component["version"]] for component in sbom["components"])
    assert listed == json.loads(said)
    assert sbom["bomFormat"] == "CycloneDX"
    assert all(component["purl"].startswith("pkg:pypi/") for component in sbom["components"])


def test_the_sbom_names_the_image_it_is_of(engine: Engine, image: str, sbom: dict[str, Any], service: str) -> None:
    component = sbom["metadata"]["component"]
    assert component["name"] == f"sallyport-{service}"
    assert engine.text("run", "--rm", "--network=none", image, "--version").strip() == component["version"]


def test_installed_is_what_the_lock_says(engine: Engine, image: str, service: str) -> None:
    text = (checkout_root() / "requirements" / f"{service}.txt").read_text()
    locked = {
        n.lower().replace("_", "-").replace(".", "-") for n in re.findall(r"^([\w.-]+)(?:\[.*?\])?==", text, re.M)
    }
    assert _installed(engine, image) <= locked
