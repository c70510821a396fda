"""The container engine, by its command: what the images and the cluster need of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.images.errors import BuildFailed, NoEngine

__all__ = ["Engine", "engine_problem"]

ENGINE_SETTING = "SALLYPORT_ENGINE"
_ANSWER_S = 20


def engine_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why no engine can be used here, in one line that says what to install; None: one answers."""
    command = environ.get(ENGINE_SETTING, "docker")
    if shutil.which(command) is None:
        return f"no container engine: install Docker Engine 20.10 or later, or name one's command in {ENGINE_SETTING}"
    try:
        asked = subprocess.run([command, "version"], capture_output=True, text=True, timeout=_ANSWER_S)
    except subprocess.TimeoutExpired:
        return f"'{command} version' does not answer within {_ANSWER_S} s: is the engine well?"
    if asked.returncode != 0:
        return f"'{command} version' fails: start the engine, or ask for the right to use it"
    return None


class Engine:
    """One engine. Raises NoEngine if none answers; every method raises BuildFailed if the engine refuses."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        if (problem := engine_problem(environ)) is not None:
            raise NoEngine(problem)
        self.command = environ.get(ENGINE_SETTING, "docker")

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        timeout_s: float = 1200.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """One command of the engine to its end. stdin: what it reads; None: nothing."""
        try:
            done = subprocess.run(
                [self.command, *arguments],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"'{self.command} {arguments[0]}' did not end within {timeout_s:.0f} s") from None
        if check and done.returncode != 0:
            said = " ".join((done.stdout + done.stderr).decode(errors="replace").split())[-800:]
            raise BuildFailed(f"'{self.command} {' '.join(arguments[:2])}' failed: {said}")
        return done

    def text(self, *arguments: str, timeout_s: float = 60.0) -> str:
        return self.run(*arguments, timeout_s=timeout_s).stdout.decode()

    def has_image(self, image: str) -> bool:
        return self.run("image", "inspect", image, check=False, timeout_s=60).returncode == 0

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Of containers or images, in order."""
        found: list[dict[str, Any]] = json.loads(self.text("inspect", *names))
        return found

    def find_image(self, image: str) -> bool:
        """Whether the engine has the image, or could fetch it."""
        return self.has_image(image) or self.run("pull", "--quiet", image, check=False).returncode == 0

    def build(
        self,
        tag: str,
        context: Path,
        file: Path,
        *,
        target: str = "",
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """Build one image from a Containerfile, whose instructions reach no network."""
        given = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        self.run(
            "build",
            "--network=none",
            f"--file={file}",
            f"--tag={tag}",
            *([f"--target={target}"] if target else []),
            *given,
            str(context),
        )
