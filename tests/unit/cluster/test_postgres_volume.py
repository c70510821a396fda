"""deploy/compose/postgres-volume.sh: no empty ledger beside a full one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.devstack.stack import checkout_root

SCRIPT = checkout_root() / "deploy" / "compose" / "postgres-volume.sh"


def look(volume: Path, own: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), str(volume)], env={"PGDATA": str(volume / own)}, capture_output=True, text=True, timeout=20
    )


def database(volume: Path, place: str, version: str) -> None:
    (volume / place).mkdir(parents=True)
    (volume / place / "PG_VERSION").write_text(f"{version}\n")


@pytest.mark.parametrize("own", ["data", "18/docker"])
def test_an_empty_volume_and_our_own_database_are_taken(tmp_path: Path, own: str) -> None:
    assert look(tmp_path, own).returncode == 0
    database(tmp_path, own, "18")
    database(tmp_path, "other", "15")
    assert look(tmp_path, own).returncode == 0, "an old one beside ours is no harm"


@pytest.mark.parametrize(("there", "own"), [("data", "18/docker"), ("18/docker", "data"), (".", "18/docker")])
def test_another_images_database_is_refused(tmp_path: Path, there: str, own: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    (tmp_path / there / "PG_VERSION").write_text("15\n")
    looked = look(tmp_path, own)
    assert looked.returncode == 1
    assert looked.stderr.startswith("postgres_other_database: the volume has a database of PostgreSQL 15 in ")
    assert not (tmp_path / own / "PG_VERSION").exists()
