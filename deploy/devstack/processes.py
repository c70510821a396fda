"""Server processes that outlive the one that started them: started, recognised, and stopped, never a wrong one."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["ServerProcess", "choose_port", "port_is_free", "processes_with", "read_tail", "spawn", "wait_until"]

LOOPBACK = "127.0.0.1"
# Below the range from which Linux, macOS and Windows draw the ports of outgoing connections: a port that we keep
# over a restart must not be taken meanwhile by somebody's client socket.
_PORTS = range(20_000, 32_000)
# The kernel counts start times from boot; the time of the boot moves when somebody sets the clock. The marker carries
# most of the proof, so this may be generous.
_START_TIME_TOLERANCE_S = 60.0
_SOCKETS_CLOSE_S = 1.0
_EXEC_S = 5.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A process by more than its pid, so that a recycled pid is never taken for it.

    started_at: seconds since the epoch, as the kernel tells. marker: an argument of its command line that no other
    program's has (it names a directory of the stack).
    """

    pid: int
    started_at: float
    marker: str

    def find(self) -> psutil.Process | None:
        """The running process, or None where it ended (a zombie has ended) or the pid is somebody else's by now."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(0)  # reaps it where it is our own child
                return None
            if abs(process.create_time() - self.started_at) > _START_TIME_TOLERANCE_S:
                return None
            if self.marker not in process.cmdline():
                return None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return process

    @property
    def is_running(self) -> bool:
        return self.find() is not None

    @property
    def has_ended(self) -> bool:
        """Nothing with this pid is alive, ours or not."""
        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal in turn and wait for its seconds, until the process is gone. Children that it leaves
        behind are killed too."""
        process = self.find()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            children = process.children(recursive=True)
            for signal_, seconds in steps:
                process.send_signal(signal_)
                # Not psutil's wait: for it a zombie lives until its parent, who may be a lazy init, has reaped it.
                if wait_until(lambda: not self.is_running, seconds=seconds, every_s=0.02):
                    break
            wait_until(lambda: not any(map(_is_alive, children)), seconds=2, every_s=0.02)
            for child in filter(_is_alive, children):
                child.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    marker: str,
    cwd: Path,
    env: dict[str, str],
    user: int | None = None,
    group: int | None = None,
) -> ServerProcess:
    """Start a server in a session of its own (a Ctrl-C at the terminal is not for it), its output appended to `log`."""
    extra_groups: list[int] | None = None if user is None else []
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            user=user,
            group=group,
            extra_groups=extra_groups,
            start_new_session=True,
        )
    # It is stopped by what the state file says, maybe by another process: no ResourceWarning for letting it run.
    child.returncode = 0
    server = ServerProcess(child.pid, psutil.Process(child.pid).create_time(), marker)
    # The kernel shows no arguments yet while it loads the program: until it does, nobody would recognise it.
    wait_until(lambda: server.is_running or server.has_ended, seconds=_EXEC_S, every_s=0.005)
    return server


def processes_with(marker: str) -> list[ServerProcess]:
    """Every process that has this very argument, whoever started it."""
    return [
        ServerProcess(process.pid, process.info["create_time"], marker)
        for process in psutil.process_iter(["cmdline", "create_time"])
        if marker in (process.info["cmdline"] or ())
    ]


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(kept: int | None = None, avoid: Sequence[int] = ()) -> int:
    """The port that was kept if it is still free, else a free one outside `avoid`."""
    # A server that was killed is gone a moment before the kernel has closed its sockets.
    if kept is not None and wait_until(lambda: port_is_free(kept), seconds=_SOCKETS_CLOSE_S):
        return kept
    # Random, so that two checkouts that start at once do not probe the same sequence.
    while True:
        port = random.SystemRandom().choice(_PORTS)
        if port not in avoid and port_is_free(port):
            return port


def wait_until(condition: Callable[[], bool], *, seconds: float, every_s: float = 0.05) -> bool:
    """Poll until the condition holds (True) or the seconds are over (False). What it raises is passed on."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True


def read_tail(log: Path, characters: int = 300) -> str:
    """The last words of a log file on one line, for an error message."""
    try:
        text = log.read_bytes()[-4 * characters :].decode(errors="replace")
    except OSError:
        return ""
    return " ".join(text.split())[-characters:]
