"""The software bill of materials of an image: CycloneDX JSON, from what is installed in it, not from what should be."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.devstack.stack import checkout_root
from deploy.images.engine import Engine
from deploy.images.errors import BuildFailed

__all__ = ["installed", "write_sbom"]

_HOME = "/opt/sallyport"


def installed(engine: Engine, image: str, into: Path) -> Path:
    """The directory of the packages in an image, copied into `into`."""
    container = engine.text("create", image).strip()
    try:
        engine.run("cp", f"{container}:{_HOME}/lib", str(into / "lib"))
    finally:
        engine.run("rm", container)
    (packages,) = (into / "lib").glob("python3*/site-packages")
    return packages


def write_sbom(engine: Engine, image: str, name: str, file: Path) -> int:
    """Write the SBOM of an image, whose component it calls `name`; returns how many packages it lists.

    The tool asks a Python for its path. The image's own cannot be run from here, so a program answers for it.
    Raises BuildFailed.
    """
    with tempfile.TemporaryDirectory(prefix="sallyport-sbom-") as scratch:
        packages = installed(engine, image, Path(scratch))
        python = Path(scratch) / "python"
        python.write_text(f"#!/bin/sh\necho '{json.dumps([str(packages)])}'\n")
        python.chmod(0o700)
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
        pyproject = checkout_root() / "pyproject.toml"
        made = subprocess.run([*command, f"--pyproject={pyproject}", str(python)], capture_output=True, text=True)
    if made.returncode != 0:
        raise BuildFailed(f"no SBOM of {image}: {' '.join(made.stderr.split())[-300:]}")
    bom = json.loads(made.stdout)
    bom["metadata"]["component"]["name"] = name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom, indent=2) + "\n")
    return len(bom["components"])
