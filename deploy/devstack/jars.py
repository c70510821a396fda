"""Kafka's jars: pinned by SHA-256 in deploy/kafka/jars.lock.json, fetched by jgo, checked at every start."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.maven import MavenContext, PythonResolver

from deploy.devstack.errors import DownloadFailed, JarMismatch, LockFileInvalid

__all__ = ["LOCK_FILE", "JarLock", "LockedJar", "check_jar", "ensure_jars", "maven_context", "sha256_of"]

LOCK_FILE = Path(__file__).resolve().parent.parent / "kafka" / "jars.lock.json"
REPOSITORY_SETTING = "SALLYPORT_MAVEN_REPOSITORY"

_DOWNLOADS_AT_ONCE = 4
_ATTEMPTS = 3
_TIMEOUT_S = 60  # of silence on one connection


@dataclass(frozen=True, slots=True)
class LockedJar:
    """coordinate: group:artifact:version. file: its name. sha256: in hexadecimal."""

    coordinate: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class JarLock:
    """What a broker's class path consists of, in order."""

    kafka: str
    jars: tuple[LockedJar, ...]

    @classmethod
    def read(cls, path: Path = LOCK_FILE) -> JarLock:
        """Raises LockFileInvalid."""
        try:
            document = json.loads(path.read_text())
            jars = tuple(LockedJar(j["coordinate"], j["file"], j["sha256"]) for j in document["jars"])
            lock = cls(str(document["kafka"]), jars)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LockFileInvalid(f"{path} is no lock file of jars ({error!r}): restore it from git") from error
        if not jars or any(Path(jar.file).name != jar.file for jar in jars):
            raise LockFileInvalid(f"{path} names no jars, or one outside its directory: restore it from git")
        return lock

    def write(self, path: Path) -> None:
        jars = [{"coordinate": j.coordinate, "file": j.file, "sha256": j.sha256} for j in self.jars]
        path.write_text(json.dumps({"kafka": self.kafka, "jars": jars}, indent=2) + "\n")


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_jar(path: Path, jar: LockedJar) -> None:
    """Raises JarMismatch unless the file's bytes are the pinned ones."""
    actual = sha256_of(path)
    if actual != jar.sha256:
        raise JarMismatch(
            f"{jar.coordinate} is not the pinned file (SHA-256 {actual[:16]}…, pinned {jar.sha256[:16]}…): "
            "it is not used; try again, or find out who changed it"
        )


def maven_context(cache: Path, environ: Mapping[str, str] = os.environ) -> MavenContext:
    """jgo's view of the repository: the one it knows by itself, or the one that SALLYPORT_MAVEN_REPOSITORY names."""
    setting = environ.get(REPOSITORY_SETTING)
    return MavenContext(
        resolver=PythonResolver(),
        repo_cache=cache,
        local_repos=[],
        remote_repos={"setting": setting.rstrip("/")} if setting else None,
        timeout=_TIMEOUT_S,
    )


def ensure_jars(
    directory: Path,
    *,
    lock: JarLock | None = None,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """The class path: every pinned jar in `directory`, fetched where it is missing, its hash checked in any case.

    A file that is there and wrong is thrown away and fetched again. Safe against another process doing the same:
    a jar appears under its name only whole and checked.

    Raises DownloadFailed, JarMismatch, LockFileInvalid.
    """
    lock = lock or JarLock.read()
    directory.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in lock.jars if not _is_good(directory / jar.file, jar)]
    if missing:
        say(f"fetching {len(missing)} jars of Kafka {lock.kafka}")
        with (
            tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch,
            ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
        ):
            context = maven_context(Path(scratch), environ)
            try:
                fetched = pool.map(lambda jar: _fetch(jar, context, directory, len(missing)), missing)
                for count, _ in enumerate(fetched, start=1):
                    say(f"fetched {count} of {len(missing)} jars of Kafka {lock.kafka}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [directory / jar.file for jar in lock.jars]


def _is_good(path: Path, jar: LockedJar) -> bool:
    try:
        check_jar(path, jar)
    except (FileNotFoundError, JarMismatch):
        return False
    return True


def _fetch(jar: LockedJar, context: MavenContext, directory: Path, missing: int) -> None:
    artifact = context.create_dependency(jar.coordinate).artifact
    path = artifact.cached_path
    assert path is not None  # None is for artifacts without a place in the cache; ours is set
    cause = ""
    for _ in range(_ATTEMPTS):
        path.unlink(missing_ok=True)  # a download that broke off leaves a part of the file
        try:
            context.resolver.download(artifact)
        except requests.RequestException as error:
            cause = f"no answer, {type(error).__name__}"
        except OSError as error:
            cause = str(error)
        except RuntimeError:  # jgo's word for an answer other than 200; its text has the repository's address in it
            raise _failure(jar, missing, "the repository does not have it") from None
        else:
            check_jar(path, jar)
            path.replace(directory / jar.file)
            return
    raise _failure(jar, missing, cause)


def _failure(jar: LockedJar, missing: int, cause: str) -> DownloadFailed:
    return DownloadFailed(
        f"could not fetch {jar.coordinate} ({cause}; {missing} jars of Kafka were missing): try again, name a Maven "
        f"repository that has it with {REPOSITORY_SETTING}, or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs"
    )
