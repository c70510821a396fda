"""The compose command, and what it is told: the file, the project, the images of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.images.errors import ClusterNotReady, NoComposeTool

__all__ = ["Compose", "compose_command", "with_dotenv"]

COMPOSE_SETTING = "SALLYPORT_COMPOSE"
_LEAST = (2, 24)
"""Before, `env_file` could not be optional, and `ps` told of its containers in another form."""
_DOTENV = re.compile(r"""\s*(?:export\s+)?(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|(.*?))(?:\s+#.*)?\s*""")


def compose_command(root: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The compose of this machine, version 2.24 or later: as SALLYPORT_COMPOSE says, the engine's plugin, a
    `docker-compose` on the path, or what deploy/images/compose-tool.sh built. Raises NoComposeTool."""
    candidates = [["docker", "compose"], ["docker-compose"], [str(root / "build" / "tools" / "docker-compose")]]
    if named := environ.get(COMPOSE_SETTING, ""):
        candidates = [named.split()]
    for candidate in candidates:
        if shutil.which(candidate[0]) and _version(candidate) >= _LEAST:
            return candidate
    raise NoComposeTool(
        "no Docker Compose 2.24 or later: install its plugin, or, where Go is, run sh deploy/images/compose-tool.sh; "
        f"or name the command in {COMPOSE_SETTING}"
    )


def _version(candidate: Sequence[str]) -> tuple[int, int]:
    """(0, 0): no Compose that says its version."""
    asked = subprocess.run([*candidate, "version", "--short"], capture_output=True, text=True)
    said = re.match(r"v?(\d+)\.(\d+)", asked.stdout.strip())
    return (int(said[1]), int(said[2])) if asked.returncode == 0 and said else (0, 0)


def with_dotenv(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environ` over what deploy/.env says, which Compose reads by itself and we need to read as it does: `NAME=value`
    lines, perhaps in quotes, perhaps with a comment behind. Variables within a value are not replaced."""
    file = root / "deploy" / ".env"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    found = [of for line in lines if (of := _DOTENV.fullmatch(line))]
    return {**{of[1]: of[2] or of[3] or of[4] or "" for of in found}, **environ}


class Compose:
    """Compose on deploy/compose.yaml and overlays. environ: what the file's variables become, beside our own."""

    def __init__(self, root: Path, environ: Mapping[str, str], overlays: Sequence[str] = ()) -> None:
        self.root = root
        self.environ = {**os.environ, **environ}
        files = ["compose.yaml", *overlays]
        self.command = [
            *compose_command(root, os.environ),
            *(f"--file={root / 'deploy' / file}" for file in files),
            f"--project-directory={root / 'deploy'}",
        ]

    def run(self, *arguments: str, timeout_s: float = 600.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command to its end. Raises ClusterNotReady: it failed, or did not end in time."""
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                env=self.environ,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise ClusterNotReady(f"'compose {arguments[0]}' did not end within {timeout_s:.0f} s") from None
        if check and done.returncode != 0:
            said = " ".join(line for line in done.stderr.split("\n") if line.strip())[-600:]
            raise ClusterNotReady(f"'compose {arguments[0]}' failed: {said}")
        return done

    def services(self) -> list[str]:
        return self.run("config", "--services").stdout.split()

    def containers(self) -> list[dict[str, Any]]:
        """One object a container of the project, stopped ones too, as `compose ps` tells."""
        shown = self.run("ps", "--all", "--format=json", timeout_s=60).stdout
        return [json.loads(line) for line in shown.splitlines() if line.strip()]

    def container(self, service: str) -> str:
        """The id of a service's container. Raises ClusterNotReady: it has none."""
        found = self.run("ps", "--all", "--quiet", service, timeout_s=60).stdout.split()
        if not found:
            raise ClusterNotReady(f"{service}: no container; `make up` first")
        return found[0]

    def url(self, service: str) -> str:
        """Where a published edge is reached from this machine. Raises ClusterNotReady: it does not run."""
        shown = self.run("port", service, "8080", timeout_s=60).stdout.split()
        if not shown or shown[0].endswith(":0"):
            raise ClusterNotReady(f"{service} is not published: `make up` first")
        host, _, port = shown[0].rpartition(":")
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 - what it answers
