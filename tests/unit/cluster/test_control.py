"""What the cluster's commands make of the variables around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cluster.compose import compose_command, with_dotenv
from deploy.cluster.control import secrets_directory
from deploy.images.errors import NoComposeTool


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / ".env").write_text(
        "# ours\nPOSTGRES_IMAGE='postgres:17'\nSALLYPORT_TAG = 1.2=3\n\nnothing\n"
    )
    assert with_dotenv(tmp_path, {"SALLYPORT_TAG": "dev"}) == {"POSTGRES_IMAGE": "postgres:17", "SALLYPORT_TAG": "dev"}
    assert with_dotenv(tmp_path, {})["SALLYPORT_TAG"] == "1.2=3"


def test_without_a_file_the_environment_is_all(tmp_path: Path) -> None:
    assert with_dotenv(tmp_path, {"A": "b"}) == {"A": "b"}


def test_the_secrets_are_where_compose_looks_for_them(tmp_path: Path) -> None:
    assert secrets_directory(tmp_path, {}) == tmp_path / "deploy" / "compose" / "secrets"
    assert secrets_directory(tmp_path, {"COMPOSE_SECRETS": "/etc/sallyport"}) == Path("/etc/sallyport")
    assert secrets_directory(tmp_path, {"COMPOSE_SECRETS": "other"}) == tmp_path / "deploy" / "other"


@pytest.mark.parametrize(("version", "taken"), [("2.40.3", True), ("v5.0.1", True), ("1.29.2", False), ("x", False)])
def test_compose_is_taken_from_version_2_on(tmp_path: Path, version: str, taken: bool) -> None:
    program = tmp_path / "compose"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    if taken:
        assert compose_command(tmp_path, {"SALLYPORT_COMPOSE": str(program)}) == [str(program)]
    else:
        with pytest.raises(NoComposeTool, match="SALLYPORT_COMPOSE"):
            compose_command(tmp_path, {"SALLYPORT_COMPOSE": str(program)})
