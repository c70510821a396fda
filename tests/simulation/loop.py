"""An event loop in which time is a number, and processes are queues: what a seed decides happens, and nothing else.

Everything that runs belongs to a `Process`, by the context it runs in. Within a process callbacks run in the order in
which they became ready, as asyncio has it; which process is next is drawn from the seed. So a process can be killed
between any two steps (SIGKILL: nothing of it runs any more, no `finally` either), or held (SIGSTOP) and woken.
When nobody can run, the clock jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

__all__ = ["Deadlock", "Process", "Runaway", "VirtualLoop", "current_process"]

_PROCESS: ContextVar[Process] = ContextVar("process")


class Deadlock(AssertionError):
    """Nobody can run, no timer is set, and the history is not over."""


class Runaway(AssertionError):
    """More steps than any history needs."""


class Process:
    """What is killed, held and woken as one.

    steps: callbacks run so far. kill_at: the step before which it is killed. dead: nothing of it runs any more; calls
    that it left on the wire may still arrive.
    """

    __slots__ = ("context", "dead", "held", "kill_at", "name", "on_kill", "queue", "steps", "trouble")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: deque[asyncio.Handle] = deque()
        self.dead = False
        self.held = False
        self.steps = 0
        self.kill_at: int | None = None
        self.on_kill: Callable[[], None] | None = None
        self.trouble: Callable[[BaseException], None] | None = None
        self.context: Context = copy_context()
        self.context.run(_PROCESS.set, self)


def current_process() -> Process:
    """Whose code is running."""
    return _PROCESS.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. rng: which process is next. max_steps: where a history that never ends is cut off."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, rng: Random, max_steps: int = 400_000) -> None:
        super().__init__()
        self._rng = rng
        self._now = 0.0
        self._max_steps = max_steps
        self._kept: list[Any] = []
        self._dropped: list[asyncio.Handle] = []
        self._born: list[Coroutine[Any, Any, None]] = []
        self.steps = 0
        self.world = Process("world")
        self.processes: list[Process] = [self.world]
        self.closing = False
        self.on_kill_at: Callable[[Process], None] = self.kill
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._now

    def process(self, name: str) -> Process:
        """A new process; give its `context` to `spawn`."""
        made = Process(name)
        self.processes.append(made)
        return made

    def spawn(
        self, process: Process, coroutine: Coroutine[Any, Any, None], inner: Coroutine[Any, Any, None] | None = None
    ) -> asyncio.Task[None]:
        """Run a coroutine as part of a process. inner: another, which the first awaits once it has begun."""
        self._born += [coroutine, *([inner] if inner is not None else [])]
        return self.create_task(coroutine, context=process.context)

    def kill(self, process: Process) -> None:
        """Now and for good."""
        process.dead = True
        self._dropped.extend(process.queue)
        process.queue.clear()
        # Kept until the end: collected earlier, their coroutines would run their `finally`.
        self._kept.extend(t for t in asyncio.all_tasks(self) if not t.done())
        self.processes.remove(process)
        if process.on_kill is not None:
            process.on_kill()

    def play(self, main: Coroutine[Any, Any, None]) -> None:
        """Run `main` as the world, until it returns."""
        try:
            self.run_until_complete(self.create_task(main, context=self.world.context))
        finally:
            self._bury()

    def _bury(self) -> None:
        """Let every coroutine come to its end, so that none is collected in the middle. Nothing they do counts."""
        self.closing = True
        for process in self.processes:
            self._dropped.extend(process.queue)
        asyncio._set_running_loop(self)
        for _ in range(20):
            left = [t for t in asyncio.all_tasks(self) if not t.done()]
            if not left:
                break
            for task in left:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                task.cancel()
            self._ready.extend(self._dropped)
            self._dropped.clear()
            with contextlib.suppress(BaseException):
                for _ in range(50 * len(left)):
                    if not self._ready:
                        break
                    self._ready.popleft()._run()
        asyncio._set_running_loop(None)
        for coroutine in self._born:
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        self._born.clear()
        self._kept.clear()
        self.close()

    # -- what BaseEventLoop does otherwise ---------------------------------------------------------------------------

    def _call_soon(  # type: ignore[no-untyped-def]
        self, callback, args, context
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._file(handle)
        return handle

    def _file(self, handle: asyncio.Handle) -> None:
        if self.closing:
            self._ready.append(handle)
            return
        process = handle._context.get(_PROCESS, self.world)  # type: ignore[attr-defined]
        (self._dropped if process.dead else process.queue).append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _run_once(self) -> None:
        """Steps, until told to stop."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled
        choose = self._rng.random
        while not self._stopping:
            while scheduled and (scheduled[0]._cancelled or scheduled[0]._when <= self._now):  # type: ignore[attr-defined]
                timer = heapq.heappop(scheduled)
                if not timer._cancelled:
                    self._file(timer)
            able = [p for p in self.processes if p.queue and not p.held]
            if not able:
                if not scheduled:
                    raise Deadlock("nobody can run, and no timer is set")
                self._now = scheduled[0]._when  # type: ignore[attr-defined]
                continue
            process = able[int(choose() * len(able))] if len(able) > 1 else able[0]
            if process.steps == process.kill_at:
                self.on_kill_at(process)
                continue
            handle = process.queue.popleft()
            if handle._cancelled:
                continue
            process.steps += 1
            self.steps += 1
            if self.steps > self._max_steps:
                raise Runaway(f"{self.steps} steps, at {self._now:.1f} s; it is the turn of {process.name}")
            handle._run()

    def _process_events(self, event_list: Any) -> None:
        raise AssertionError("nothing here waits for a file")

    def _write_to_self(self) -> None:
        raise AssertionError("nothing here has threads")
