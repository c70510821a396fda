"""A stack for the life of one process: `with ephemeral(root) as info: …`.

The servers are started by a small supervisor process, which holds the read end of a pipe whose write end is ours.
However we end (return, exception, Ctrl-C, SIGTERM, SIGKILL), the kernel closes the pipe; the supervisor sees that,
stops the servers and deletes their data. It lives in a session of its own, out of reach of the terminal's signals.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from deploy.devstack import errors
from deploy.devstack.processes import ServerProcess
from deploy.devstack.stack import DevStack, StackInfo, stack_names

__all__ = ["ephemeral"]

_STOP_S = 60.0
_PARENT_POLL_S = 1.0


@contextlib.contextmanager
def ephemeral(
    root: Path,
    name: str | None = None,
    *,
    jar_cache: Path | None = None,
    locked: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[StackInfo]:
    """A stack of its own with empty data, gone at the end. KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL are honoured.

    locked: Kafka behind TLS, logins and ACLs (`locks`); then servers elsewhere are no substitute.
    name: of the directory under .dev; one per process by default. Raises a DevStackError where it does not start.
    """
    name = name or f"run-{os.getpid()}"
    command = [
        sys.executable,
        "-m",
        "deploy.devstack.supervisor",
        str(root),
        name,
        str(jar_cache or ""),
        "locked" if locked else "",
    ]
    # A pipe of Python's is not inherited by programs that we start: nobody but us keeps it open.
    supervisor = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent.parent,
        start_new_session=True,
    )
    try:
        yield replace(_hear(supervisor, say), plaintext=not locked)
    finally:
        assert supervisor.stdin is not None and supervisor.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()
        supervisor.stdout.close()  # what it tells of a start under way fails from now on, and ends the start
        try:
            failed = supervisor.wait(_STOP_S) != 0
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
            failed = True
        if failed:  # it was killed, or could not stop them: do it here
            DevStack(root, name).down(delete=True)


def _hear(supervisor: subprocess.Popen[str], say: Callable[[str], None]) -> StackInfo:
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        message: dict[str, Any] = json.loads(line)
        match message.pop("kind"):
            case "info":
                return StackInfo(**message)
            case "say":
                say(message["text"])
            case "error":
                raise getattr(errors, message["type"])(message["text"])
    raise errors.StartFailed(f"the supervisor of the stack ended with status {supervisor.wait()}")


def _tell(kind: str, **fields: str) -> None:
    """Raises BrokenPipeError where nobody listens any more."""
    os.write(sys.stdout.fileno(), (json.dumps({"kind": kind, **fields}) + "\n").encode())


def _sweep(root: Path) -> None:
    """Remove what a supervisor that was itself killed has left behind."""
    for name in stack_names(root):
        stack = DevStack(root, name)
        if (owner := stack.owner) is not None and not owner.is_running:
            stack.down(delete=True)


def _wait_for_end_of(parent: int) -> None:
    while os.getppid() == parent:  # a forked copy of the parent may hold the pipe open beyond its end
        readable, _, _ = select.select([sys.stdin], [], [], _PARENT_POLL_S)
        if readable and not os.read(sys.stdin.fileno(), 1):
            return


def _main(root: Path, name: str, jar_cache: Path | None, locked: bool) -> int:
    parent = os.getppid()
    # Only the pipe tells us to end. Not SIG_IGN: the servers would inherit that, and a JVM then never ends by SIGTERM.
    for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_, lambda *_: None)
    me = ServerProcess(os.getpid(), psutil.Process().create_time(), name)  # `name` is an argument of ours
    _sweep(root)
    environ = {k: v for k, v in os.environ.items() if not (locked and k in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"))}
    stack = DevStack(
        root, name, environ=environ, jar_cache=jar_cache, locked=locked, say=lambda text: _tell("say", text=text)
    )
    try:
        info = stack.up(owner=me)
        _tell("info", kafka_bootstrap_servers=info.kafka_bootstrap_servers, database_url=info.database_url)
        _wait_for_end_of(parent)
    except BrokenPipeError:
        pass  # the parent ended while we started
    except errors.DevStackError as error:
        with contextlib.suppress(BrokenPipeError):
            _tell("error", type=type(error).__name__, text=str(error))
    finally:
        stack.down(delete=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if sys.argv[3] else None, sys.argv[4] == "locked"))
