"""What is built of what, with an engine that does as it is told here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.images import bases, build
from deploy.images.engine import Engine
from deploy.images.errors import BuildFailed


def _engine(tmp_path: Path, script: str) -> Engine:
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Engine({"SALLYPORT_ENGINE": str(program)})


@pytest.mark.parametrize(("tag", "image"), [({}, "dev"), ({"SALLYPORT_TAG": ""}, "dev"), ({"SALLYPORT_TAG": "1"}, "1")])
def test_an_image_is_called_as_compose_calls_it(tag: dict[str, str], image: str) -> None:
    assert build.image_name("ingest", tag) == f"sallyport-ingest:{image}"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ("python:3.12-slim", "python:3.12")),
        ({"BASE_IMAGE": "ours"}, ("ours", "ours")),
        ({"BASE_IMAGE": "ours", "BUILD_IMAGE": "its"}, ("ours", "its")),
        ({"BUILD_IMAGE": "its"}, ("python:3.12-slim", "its")),
    ],
)
def test_images_stand_on_what_is_named_or_on_the_official_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], found: tuple[str, str]
) -> None:
    """An image that is not needed is not asked for: here it could not be had."""
    needed = "python:3.12-slim" if "BUILD_IMAGE" in environ else "python:3.12*"
    engine = _engine(tmp_path, f'case "$*" in version|*{needed}) ;; *) exit 1 ;; esac')
    monkeypatch.setattr(build, "ensure_base", lambda _, name: f"made of Debian's packages: {name}")
    assert build._bases(engine, environ) == found


@pytest.mark.timeout(20)
def test_an_engine_that_gives_up_on_an_import_is_told_of_and_not_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(1 << 20))  # more than a pipe holds
    engine = _engine(tmp_path, '[ "$1" = version ] || { echo no space left >&2; exit 1; }')
    with pytest.raises(BuildFailed, match="no space left"):
        bases._import(engine, root, "base:test")
