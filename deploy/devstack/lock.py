"""Pin Kafka's jars anew: `python -m deploy.devstack.lock [VERSION]` resolves them and writes jars.lock.json."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from jgo.maven import Dependency

from deploy.devstack.jars import LOCK_FILE, JarLock, LockedJar, maven_context, sha256_of

__all__ = ["main", "resolve"]

KAFKA_VERSION = "4.2.2"
"""Not 4.3 or 4.4 while KAFKA-20734 is open: they may forget a transaction that they acknowledged (ADR 27)."""
SCALA_VERSION = "2.13"


def resolve(kafka_version: str, cache: Path) -> JarLock:
    """What the broker needs, transitively, plus the binding that sends its log to log4j (of the version that Kafka
    itself asks for). Takes some twenty seconds. Raises whatever jgo raises."""
    context = maven_context(cache)

    def pin(dependency: Dependency) -> LockedJar:
        path = dependency.artifact.resolve()
        coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
        return LockedJar(coordinate, path.name, sha256_of(path))

    broker = context.create_dependency(f"org.apache.kafka:kafka_{SCALA_VERSION}:{kafka_version}")
    inputs, transitive = context.resolver.resolve([broker])
    jars = [pin(dependency) for dependency in [*inputs, *transitive]]
    log4j = next(d.version for d in transitive if d.artifactId == "log4j-core")
    jars.append(pin(context.create_dependency(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}")))
    return JarLock(kafka_version, tuple(sorted(jars, key=lambda jar: jar.coordinate)))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.devstack.lock", description=__doc__)
    parser.add_argument("version", nargs="?", default=KAFKA_VERSION, help="of Kafka (default: %(default)s)")
    version = parser.parse_args(arguments).version
    with tempfile.TemporaryDirectory(prefix="sallyport-lock-") as cache:
        lock = resolve(version, Path(cache))
    lock.write(LOCK_FILE)
    sys.stdout.write(f"{LOCK_FILE}: {len(lock.jars)} jars of Kafka {version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
