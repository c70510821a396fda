"""What is known of a stack from one command to the next: `.dev/NAME/stack.json`, and the lock beside it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.devstack.errors import StackBusy
from deploy.devstack.processes import ServerProcess, wait_until

__all__ = ["StackState", "locked"]


@dataclass(slots=True)
class StackState:
    """Ports and password stay over a restart; a process is None where none was started or it was stopped.

    owner: the process for whose life alone the stack exists (see `supervisor`); None for one that stays.
    """

    kafka_port: int | None = None
    kafka_controller_port: int | None = None
    kafka: ServerProcess | None = None
    postgres_port: int | None = None
    postgres_password: str | None = None
    postgres: ServerProcess | None = None
    owner: ServerProcess | None = None

    @classmethod
    def read(cls, path: Path) -> StackState:
        """The state on disk; a fresh one where there is none. A file that is no state (cut off by a full disk) counts
        as none: what it knew of processes is lost, which `write` makes impossible short of that."""
        try:
            document: dict[str, Any] = json.loads(path.read_text())
            for part in ("kafka", "postgres", "owner"):
                if document.get(part) is not None:
                    document[part] = ServerProcess(**document[part])
            return cls(**document)
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file whole. Only its owner may read it: there is a password in it."""
        scratch = path.with_suffix(".tmp")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n")
        scratch.replace(path)


@contextlib.contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold this lock file; released by the kernel however the process ends. Raises StackBusy after `seconds`."""
    taken: list[int] = []

    def take() -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have deleted the stack and the lock file with it: then we hold a lock on nothing.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                taken.append(descriptor)
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    if not wait_until(take, seconds=seconds):
        raise StackBusy(f"another process has been starting or stopping {path.parent} for {seconds:.0f} s: try again")
    try:
        yield
    finally:
        os.close(taken[0])
