"""How a service process runs: start in order, wait for a signal or a failure, drain within a deadline, stop.

Crash only: what cannot be handled ends the process with status 1, and the next one reads again what was not
committed. A handler that swallowed such an error would be a record that is skipped for good (G1).
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import uvloop

from services.platform import tracing
from services.platform.build import build_version
from services.platform.logs import configure, get_logger
from services.platform.loop import ServiceLoop
from services.platform.metrics import BUILD
from services.platform.settings import PlatformSettings

__all__ = ["Service", "Stop", "instance_name", "run"]

log = get_logger(__name__)
_FLUSH_S = 2.0
"""How long, in seconds, the last spans of a trace may take to be sent when all else has ended."""


class Service(Protocol):
    """What a composition root (`app.py`) hands to `run`."""

    async def start(self) -> None:
        """Bring everything up; returns when the service works. Cancelled if the end comes first."""

    async def stop(self, deadline_s: float) -> None:
        """Finish what is in hand within `deadline_s` seconds, and close everything. Called after a failure too."""


class Stop:
    """The one way to ask for the end: by signal, or because something failed."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.error: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def ask(self) -> None:
        self._asked.set()

    def fail(self, error: BaseException) -> None:
        """The process ends with status 1. The first error is the one that counts."""
        if self.error is None:
            self.error = error
            log.error("failed", error=type(error).__name__, exc_info=error)
        self._asked.set()

    async def wait(self) -> None:
        await self._asked.wait()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the rest; an error in it fails the process.

        So does a cancellation that nobody asked for: a library's own, let out (aiokafka's `stop()` can), would end a
        lane in silence, and its partition would be ours and unserved.
        """
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            if finished.cancelled():
                # Once the end is asked for, what others wait for is closed under them.
                if not (finished.cancelling() or self._asked.is_set()):
                    self.fail(RuntimeError(f"{name} was cancelled by itself"))
            elif (error := finished.exception()) is not None:
                self.fail(error)

        task.add_done_callback(done)
        return task

    async def cancel_spawned(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def instance_name(service: str) -> str:
    """Service, host and process: tells instances apart in logs and client ids."""
    return f"{service}-{socket.gethostname()}-{os.getpid()}"


async def _serve(build: Callable[[Stop], Service], deadline_s: float) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def asked(name: str) -> None:
        log.info("stopping", signal=name, deadline_s=deadline_s)
        stop.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number.name)
    service = build(stop)
    starting = stop.spawn(service.start(), "start")
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await waiting
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    try:
        await asyncio.wait_for(service.stop(deadline_s), deadline_s + 5)
    except TimeoutError:
        log.error("drain_deadline_passed", deadline_s=deadline_s)
        return 1
    except Exception as error:  # the edge of the process: nothing else would log it
        stop.fail(error)
    finally:
        await stop.cancel_spawned()
    log.info("stopped", exit_code=1 if stop.error else 0)
    return 1 if stop.error else 0


def run(name: str, settings: PlatformSettings, build: Callable[[Stop], Service]) -> int:
    """Run a service until a signal or a failure; returns the exit status: 0 drained, 1 failed or not drained."""
    # A service holds large tables of immutable records and makes little garbage that is cyclic. At the default
    # thresholds the collector walked the tables over and over: a third of the matcher's time.
    gc.set_threshold(50_000, 20, 100)
    instance = settings.instance or instance_name(name)
    configure(name, instance, settings.log_level)
    BUILD.labels(name, build_version()).set(1)
    tracing.set_up(
        name,
        instance,
        settings.otlp_endpoint,
        settings.trace_sample_ratio,
        headers=settings.otlp_headers.get_secret_value(),
        ca_file=settings.otlp_ca_file,
    )
    try:
        return uvloop.run(_serve(build, settings.drain_deadline_s), loop_factory=ServiceLoop)
    finally:
        tracing.shut_down(_FLUSH_S)
