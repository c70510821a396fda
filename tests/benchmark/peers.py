"""The peers' environment: what a benchmark is compared with is installed beside the project, not into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["peer_python"]

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "bench.txt"
VENV = ROOT / ".dev" / "bench-venv"


def peer_python() -> str:
    """The interpreter of an environment with the peers, from the lock with hashes; made when the lock has changed."""
    python = VENV / "bin" / "python"
    stamp = VENV / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < LOCK.stat().st_mtime:
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--clear", str(VENV)], check=True)
        subprocess.run([*uv, "pip", "sync", "--python", str(python), "--require-hashes", str(LOCK)], check=True)
        stamp.touch()
    return str(python)
