"""The `helm` that the chart is tested with: `python -m deploy.helm.tool` (make tools) builds it, where there is Go.

As a Go module, by its version and the checksum database of Go; kept under .dev/tools. The first build took 11 minutes
on two busy cores (4 minutes of processor time); with Go's build cache a later one takes seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.devstack.stack import checkout_root

__all__ = ["HELM_VERSION", "install", "installed"]

HELM_VERSION: Final = "v4.3.1"
MODULE: Final = "helm.sh/helm/v4/cmd/helm"


def installed() -> Path | None:
    """Our own helm of this version if it was built, else the one of the machine, else None."""
    own = _directory() / "helm"
    if own.exists():
        return own
    found = shutil.which("helm")
    return Path(found) if found else None


def install() -> Path | None:
    """Build it, unless it is there; None where there is no Go. Raises CalledProcessError: Go could not."""
    own = _directory() / "helm"
    if own.exists():
        return own
    go = shutil.which("go")
    if go is None:
        return None
    fresh = _directory().with_suffix(f".{os.getpid()}")
    environment = {**os.environ, "GOBIN": str(fresh), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath -ldflags=-s"}
    subprocess.run([go, "install", f"{MODULE}@{HELM_VERSION}"], check=True, env=environment)
    _directory().mkdir(parents=True, exist_ok=True)
    (fresh / "helm").replace(own)  # whole or not at all: a test never runs half a program
    fresh.rmdir()
    return own


def _directory() -> Path:
    return checkout_root() / ".dev" / "tools" / f"helm-{HELM_VERSION}"


if __name__ == "__main__":
    sys.stderr.write(f"helm: {install() or 'not built, there is no Go: the tests of the chart are skipped'}\n")
