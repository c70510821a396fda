"""What the cluster's commands make of the variables around them, what they become, and whom they call well."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.cluster import __main__ as commands
from deploy.cluster.compose import compose_command, with_dotenv
from deploy.cluster.control import Cluster, Part, secrets_directory
from deploy.images.errors import NoComposeTool


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / ".env").write_text(
        "# ours\nPOSTGRES_IMAGE='postgres:17'\nSALLYPORT_TAG = 1.2=3\n\nnothing\n"
    )
    assert with_dotenv(tmp_path, {"SALLYPORT_TAG": "dev"}) == {"POSTGRES_IMAGE": "postgres:17", "SALLYPORT_TAG": "dev"}
    assert with_dotenv(tmp_path, {})["SALLYPORT_TAG"] == "1.2=3"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("TAG=1.4", "1.4"),
        ("export TAG=1.4", "1.4"),
        ("TAG=1.4 # of May", "1.4"),
        ("TAG='1.4' # of May", "1.4"),
        ("TAG=a#b", "a#b"),
        ('TAG="a # b"', "a # b"),
        ("TAG=", ""),
    ],
)
def test_a_line_of_the_file_is_read_as_compose_reads_it(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / ".env").write_text(f"{line}\n")
    assert with_dotenv(tmp_path, {}) == {"TAG": value}


def test_without_a_file_the_environment_is_all(tmp_path: Path) -> None:
    assert with_dotenv(tmp_path, {"A": "b"}) == {"A": "b"}


def test_the_secrets_are_where_compose_looks_for_them(tmp_path: Path) -> None:
    assert secrets_directory(tmp_path, {}) == tmp_path / "deploy" / "compose" / "secrets"
    assert secrets_directory(tmp_path, {"COMPOSE_SECRETS": "/etc/sallyport"}) == Path("/etc/sallyport")
    assert secrets_directory(tmp_path, {"COMPOSE_SECRETS": "other"}) == tmp_path / "deploy" / "other"


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("2.40.3", True),
        ("v5.0.1", True),
        ("2.24.0-desktop.1", True),
        ("2.23.3", False),
        ("1.29.2", False),
        ("x", False),
    ],
)
def test_compose_is_taken_from_version_2_24_on(tmp_path: Path, version: str, taken: bool) -> None:
    program = tmp_path / "compose"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    if taken:
        assert compose_command(tmp_path, {"SALLYPORT_COMPOSE": str(program)}) == [str(program)]
    else:
        with pytest.raises(NoComposeTool, match="SALLYPORT_COMPOSE"):
            compose_command(tmp_path, {"SALLYPORT_COMPOSE": str(program)})


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(("given", "data"), [("", False), ("ALL=", False), ("ALL=0", False), ("ALL=1", True)])
def test_make_down_removes_data_only_when_it_is_told_so(given: str, data: bool) -> None:
    root = Path(__file__).resolve().parents[3]
    command, environ = ["make", "-n", "down", *given.split()], {"PATH": os.environ["PATH"]}  # not of a make around us
    shown = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=True)
    (line,) = (line for line in shown.stdout.splitlines() if "deploy.cluster" in line)
    assert line.endswith("down --data") is data


class _Became(BaseException):
    """The program that ours would have become."""


def test_a_command_of_the_operator_has_the_terminal_and_its_own_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caught, it would lose what it says on a failure (`topics check` lists it), and be killed after ten minutes."""

    def become(program: str, arguments: list[str], _environ: dict[str, str]) -> None:
        raise _Became(program, arguments)

    compose, registry = tmp_path / "compose", tmp_path / "registry.yaml"
    compose.write_text("#!/bin/sh\necho 2.40.3\n")
    compose.chmod(0o755)
    registry.touch()
    monkeypatch.setenv("SALLYPORT_COMPOSE", str(compose))
    monkeypatch.setattr(commands, "Engine", lambda: None)
    monkeypatch.setattr(commands, "interruptible", lambda: None)
    monkeypatch.setattr(Cluster, "prepare", lambda _: None)
    monkeypatch.setattr("os.execvpe", become)
    with pytest.raises(_Became) as checked:
        commands.main(["sallyport", "topics", "check", "--acls"])
    program, arguments = checked.value.args
    assert (program, arguments[-4:]) == (str(compose), ["setup", "topics", "check", "--acls"])
    assert "run" in arguments and "--entrypoint=sallyport" in arguments
    with pytest.raises(_Became) as applied:
        commands.main(["sallyport", "registry", "apply", str(registry)])
    assert applied.value.args[1][-4:] == ["setup", "registry", "apply", "/tmp/registry.yaml"]
    assert f"--volume={registry}:/tmp/registry.yaml:ro" in applied.value.args[1]


@pytest.mark.parametrize(
    ("service", "state", "health", "well"),
    [
        ("setup", "exited (0)", "", True),
        ("setup", "exited (1)", "", False),
        ("setup", "running", "", False),
        ("ingest", "running", "healthy", True),
        ("ingest", "running", "starting", False),
        ("ingest", "exited (0)", "", False),
        ("prometheus", "running", "", True),
    ],
)
def test_who_is_well(service: str, state: str, health: str, well: bool) -> None:
    assert Part(service, state, health, "image").is_well is well
