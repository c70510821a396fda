"""The peers' environments: what a benchmark is compared with is installed beside the project, not into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["peer_python"]

ROOT = Path(__file__).resolve().parents[2]


def peer_python(*locks: str) -> str:
    """The interpreter of an environment with the peers of these locks (requirements/LOCK.txt, with hashes).

    Without an argument, those of `bench`. The environment bears the name of the first lock, and is made again when one
    of them has changed.
    """
    files = [ROOT / "requirements" / f"{lock}.txt" for lock in locks or ("bench",)]
    venv = ROOT / ".dev" / f"{files[0].stem}-venv"
    python = venv / "bin" / "python"
    stamp = venv / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < max(file.stat().st_mtime for file in files):
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(venv)], check=True)
        sync = [*uv, "pip", "sync", "--python", str(python), "--require-hashes"]
        subprocess.run([*sync, *map(str, files)], check=True)
        stamp.touch()
    return str(python)
