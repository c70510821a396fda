"""To wait for a condition, with a deadline: for what another process, thread or task shows a moment later.

The deadline costs nothing where the condition comes true, so it is generous: a loaded machine is no failure. A test
that goes on either way, or that holds something against the time it took, asks `deploy.devstack.processes.wait_until`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final

from deploy.devstack.processes import wait_until

__all__ = ["PATIENCE_S", "eventually", "wait_for"]

PATIENCE_S: Final = 60.0


async def eventually(condition: Callable[[], Any], within_s: float = PATIENCE_S, what: str = "") -> Any:
    """What `condition`, a function or a coroutine function, returns once that is true; fails after `within_s` seconds
    with `what`, or the condition's source, and its last value."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() >= until:
            raise AssertionError(f"not within {within_s:g} s: {what or _source(condition)}: {value!r}")
        await asyncio.sleep(0.02)


def wait_for(condition: Callable[[], Any], what: str | Callable[[], str], within_s: float = PATIENCE_S) -> None:
    """Block until `condition` is true; fail after `within_s` seconds with `what`."""
    if not wait_until(lambda: bool(condition()), seconds=within_s, every_s=0.1):
        raise AssertionError(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")


def _source(condition: Callable[[], Any]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # a bound method of something in C, a partial
        return repr(condition)
