"""The other images of compose: Kafka, which we build, and PostgreSQL, Prometheus and Grafana, which we take.

    python -m deploy.images.thirdparty     make or fetch them all, and print the variables that name them

From the environment: KAFKA_IMAGE, POSTGRES_IMAGE, PROMETHEUS_IMAGE, GRAFANA_IMAGE, JAVA_BASE_IMAGE. What is not named
and cannot be fetched is made of Debian's packages (bases.py); Grafana is in no such package, and is then left out.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from deploy.devstack.errors import DevStackError
from deploy.devstack.jars import JarLock, ensure_jars
from deploy.devstack.stack import checkout_root
from deploy.images.bases import SUITE, ensure_base
from deploy.images.engine import Engine
from deploy.images.errors import BuildFailed, ImagesError

__all__ = ["UPSTREAM", "ensure_thirdparty", "main"]

UPSTREAM = {
    "POSTGRES_IMAGE": "postgres:18",
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.5.0",
    "GRAFANA_IMAGE": "grafana/grafana:12.1.1",
}
"""As deploy/compose.yaml has them."""
JAVA_BASE = "eclipse-temurin:21-jre"
_KAFKA_FILES = ("server.properties", "cluster.properties", "log4j2-console.xml", "entrypoint.sh", "cluster.sh")


def ensure_thirdparty(engine: Engine, root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of compose.yaml that name the images; "" for Grafana where there is none. Raises ImagesError."""
    chosen = {"KAFKA_IMAGE": _kafka(engine, root, environ)}
    for variable, upstream in UPSTREAM.items():
        named = environ.get(variable, "")
        if named or engine.find_image(upstream):
            chosen[variable] = named or upstream
            continue
        name = variable.removesuffix("_IMAGE").lower()
        chosen[variable] = "" if name == "grafana" else _of_packages(engine, root, name)
    return chosen


def _of_packages(engine: Engine, root: Path, name: str) -> str:
    tag = f"sallyport-{name}:{SUITE}"
    base = ensure_base(engine, name)
    context = root / "deploy" / "images" / name
    engine.build(tag, context, context / "Containerfile", arguments={"BASE_IMAGE": base})
    return tag


def _kafka(engine: Engine, root: Path, environ: Mapping[str, str]) -> str:
    if named := environ.get("KAFKA_IMAGE", ""):
        return named
    try:
        lock = JarLock.read()
        jars = ensure_jars(root / ".dev" / "cache" / "jars", lock=lock, say=_say)
    except DevStackError as error:
        raise BuildFailed(f"no image of Kafka can be built, and KAFKA_IMAGE names none: {error}") from error
    tag = f"sallyport-kafka:{lock.kafka}"
    base = environ.get("JAVA_BASE_IMAGE", "")
    if not base:
        base = JAVA_BASE if engine.find_image(JAVA_BASE) else ensure_base(engine, "java")
    # The context is exactly what is pinned and what is ours, as a stream: the cache may hold more.
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for jar in jars:
            tar.add(jar, arcname=f".dev/cache/jars/{jar.name}", filter=_plain)
        for name in ("Containerfile", *_KAFKA_FILES):
            tar.add(root / "deploy" / "kafka" / name, arcname=f"deploy/kafka/{name}", filter=_plain)
    engine.run(
        *("build", "--file=deploy/kafka/Containerfile", f"--build-arg=BASE_IMAGE={base}", f"--tag={tag}"),
        *("--network=none", "-"),
        stdin=stream.getvalue(),
    )
    return tag


def _say(text: str) -> None:
    sys.stderr.write(f"images: {text}\n")


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without this machine's owners and times: the same files are the same layer."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


def main() -> int:
    """Make or fetch what is missing, and print one NAME=image a line."""
    try:
        for variable, image in ensure_thirdparty(Engine(), checkout_root()).items():
            sys.stdout.write(f"{variable}={image}\n")
    except ImagesError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
