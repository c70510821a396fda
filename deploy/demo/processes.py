"""Services as real processes: started with settings, waited for, killed or drained, their logs kept.

    with ProcessGroup(directory) as group:
        ingest = group.service("ingest", stack.environ())
        ingest.start()
        ingest.wait_ready()
        ingest.url                  # http://127.0.0.1:PORT, the same after a restart
        ingest.kill()               # SIGKILL, as a machine that loses power
        ingest.start()

Nothing outlives us: leaving the group ends what still runs, and where we are killed ourselves the kernel ends it
(Linux; elsewhere only leaving does). Used by the demo, the integration tests and the benchmarks.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from deploy.devstack.processes import choose_port, read_tail, wait_until

__all__ = ["NotReady", "ProcessGroup", "ServiceProcess", "interruptible", "run_directory"]

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 60.0
"""Seconds that a service may take to be ready: imports on a busy machine, restoring, a consumer group that settles."""

# exec keeps the parent-death signal, so that no process of ours stays between us and the service.
# PR_SET_PDEATHSIG is 1 (linux/prctl.h); where there is no prctl, we go on without.
_TIED_TO_PARENT = """
import os, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != parent:
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class NotReady(Exception):
    """A process ended, or was not ready by its deadline. The message has the end of its log."""


class ServiceProcess:
    """One program with an HTTP edge that answers /readyz, or a port that listens.

    Call `start` from a thread that lives as long as the process shall: the kernel takes the end of that thread for
    the end of the parent.

    command: the program and its arguments. environment: all of it. log: output is appended, over restarts.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, log: Path, port: int):
        self.name = name
        self.port = port
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def url(self) -> str:
        """Base URL of the HTTP edge; stays the same over restarts."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the newest process, running or not."""
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Negative: the signal that ended it. None: still running, or never started."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start it, if it does not run; returns at once."""
        if self.is_running:
            return
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TIED_TO_PARENT, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,  # not the checkout: a .env lying there is for people, not for a run like this
                env=self._environment,
                start_new_session=True,  # Ctrl-C at the terminal is for us; we decide the order of ending
            )
        self.starts += 1

    def wait_ready(self, deadline_s: float = READY_S) -> None:
        """Return once /readyz says 200.

        Raises NotReady: it ended before, or was not ready within `deadline_s` seconds.
        """
        last = "no answer"

        def ready() -> bool:
            nonlocal last
            self._raise_if_ended()
            status, last = self.get("/readyz", timeout_s=2.0)
            return status == 200

        if not wait_until(ready, seconds=deadline_s, every_s=0.1):
            raise NotReady(f"{self.name}: not ready within {deadline_s:.0f} s ({last}); log: {read_tail(self.log)}")

    def wait_exit(self, deadline_s: float) -> int:
        """The exit status, once it has ended by itself. Raises NotReady if it has not within `deadline_s` seconds."""
        if self._process is None:
            raise NotReady(f"{self.name}: was never started")
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise NotReady(f"{self.name}: still runs after {deadline_s:.0f} s") from None

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Status and body of a GET; status 0 where nobody answers, with the reason as body."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:  # noqa: S310 - our own URL
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, type(error).__name__

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, deadline_s: float = 25.0) -> int | None:
        """SIGTERM, then SIGKILL after `deadline_s` seconds; the exit status, None if it was never started."""
        self.ask_to_end()
        return self._end_by(time.monotonic() + deadline_s)

    def ask_to_end(self) -> None:
        """SIGTERM; returns at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _end_by(self, deadline: float) -> int | None:
        if self._process is None:
            return None
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def log_text(self) -> str:
        """All that it wrote so far, over all its starts."""
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""

    def log_events(self) -> list[dict[str, object]]:
        """The lines of its log that are JSON objects."""
        events: list[dict[str, object]] = []
        for line in self.log_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict):
                    events.append(event)
        return events

    def _raise_if_ended(self) -> None:
        if self._process is None:
            raise NotReady(f"{self.name}: was never started")
        if (status := self._process.poll()) is not None:
            raise NotReady(f"{self.name}: ended with status {status}; log: {read_tail(self.log, 1500)}")


class ProcessGroup:
    """Processes that end together: a context manager.

    directory: logs go there, one file a process; made if it is not there.
    """

    def __init__(self, directory: Path, *, drain_s: float = 15.0) -> None:
        self.directory = directory
        self.processes: list[ServiceProcess] = []
        self._drain_s = drain_s

    def service(
        self, service: str, settings: Mapping[str, str], *, name: str | None = None, port: int | None = None
    ) -> ServiceProcess:
        """`sallyport SERVICE` with `settings` as environment variables; not started yet.

        name: of the process and its log, where one service runs more than once.
        """
        return self.program(name or service, ["-m", "services.platform.cli", service], settings, port=port)

    def program(
        self, name: str, arguments: Sequence[str], settings: Mapping[str, str], *, port: int | None = None
    ) -> ServiceProcess:
        """A Python program of the checkout; told its port by SALLYPORT_HTTP_PORT. Not started yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        port = port or choose_port(avoid=[p.port for p in self.processes])
        environment = self.environment({"SALLYPORT_HTTP_PORT": str(port), **settings})
        process = ServiceProcess(
            name, [sys.executable, *arguments], environment, log=self.directory / f"{name}.log", port=port
        )
        self.processes.append(process)
        return process

    @staticmethod
    def environment(settings: Mapping[str, str]) -> dict[str, str]:
        """Ours without what may be set there for Sallyport, and `settings`: a run depends on nothing else."""
        ours = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("SALLYPORT_") and key not in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")
        }
        return {**ours, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}

    def run(self, arguments: Sequence[str], settings: Mapping[str, str], *, deadline_s: float = 120.0) -> str:
        """A command of the `sallyport` line that ends by itself, such as `["topics", "apply"]`; its output.

        Raises NotReady: another exit status than 0, or the deadline passed.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        what = f"sallyport {' '.join(arguments)}"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "services.platform.cli", *arguments],
                env=self.environment(settings),
                cwd=self.directory,
                capture_output=True,
                text=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotReady(f"{what}: did not end within {deadline_s:.0f} s") from None
        if done.returncode != 0:
            said = " ".join((done.stderr + done.stdout).split())[-1500:]
            raise NotReady(f"{what}: status {done.returncode}: {said}")
        return done.stdout

    def stop(self) -> None:
        """End everything: SIGTERM to all, newest first, then SIGKILL to what has not drained in time."""
        try:
            for process in reversed(self.processes):
                process.ask_to_end()
            deadline = time.monotonic() + self._drain_s
            for process in reversed(self.processes):
                process._end_by(deadline)
        except BaseException:  # a second Ctrl-C: somebody is in a hurry
            for process in self.processes:
                process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_directory(kind: str) -> Path:
    """A directory of this process alone under build/KIND, for logs; those of processes that are gone are removed."""
    base = ROOT / "build" / kind
    base.mkdir(parents=True, exist_ok=True)
    for other in base.iterdir():
        if not (other.name.isdigit() and psutil.pid_exists(int(other.name))):
            shutil.rmtree(other, ignore_errors=True)
    directory = base / str(os.getpid())
    directory.mkdir(exist_ok=True)
    return directory


def interruptible() -> None:
    """Make SIGTERM and SIGHUP end a program the way Ctrl-C does, so that its `with` blocks are left in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
