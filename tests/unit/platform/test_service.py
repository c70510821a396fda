"""What is spawned beside a service, and how it may end."""

from __future__ import annotations

import asyncio

import pytest

from services.platform.service import Stop


async def ended(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [ValueError("wrong"), asyncio.CancelledError()], ids=["error", "cancelled by itself"])
async def test_work_that_ends_with_an_error_ends_the_process(error: BaseException) -> None:
    stop = Stop()
    stop.spawn(ended(error), "work")
    await asyncio.wait_for(stop.wait(), 10)
    assert stop.error is not None


async def test_work_that_is_cancelled_or_done_does_not() -> None:
    stop = Stop()
    endless, cancelled = (stop.spawn(asyncio.Event().wait(), name) for name in ("endless", "cancelled"))  # type: ignore[arg-type]
    short = stop.spawn(asyncio.sleep(0), "short")
    await asyncio.wait_for(short, 10)
    cancelled.cancel()
    await stop.cancel_spawned()
    assert (endless.cancelled(), cancelled.cancelled(), stop.error) == (True, True, None)


async def test_what_is_closed_under_it_at_the_end_is_no_error() -> None:
    stop = Stop()
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await waiting

    task = stop.spawn(work(), "work")
    await asyncio.sleep(0)
    stop.ask()
    waiting.cancel()
    await asyncio.wait({task}, timeout=10)
    assert (task.cancelled(), stop.error) == (True, None)
