"""The end of a matcher."""

from __future__ import annotations

import asyncio

import pytest

from services.matcher.app import MatcherService
from services.matcher.settings import MatcherSettings
from services.platform.service import Stop


@pytest.mark.parametrize(
    "error", [OSError("the connection is gone"), asyncio.CancelledError()], ids=["error", "cancelled"]
)
async def test_a_broker_that_fails_at_the_end_is_told_of_and_the_rest_is_finished(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """aiokafka lets a cancellation of its own out, which is no failure."""
    stop = Stop()
    service = MatcherService(MatcherSettings(_env_file=None, allow_plaintext=True), stop)
    finished: list[float] = []

    async def fails() -> None:
        raise error

    async def finish(budget_s: float) -> None:
        finished.append(budget_s)

    monkeypatch.setattr(service.broker, "stop", fails)
    monkeypatch.setattr(service._ownership, "finish", finish)
    await service.stop(2)
    assert finished
    assert stop.error is (error if isinstance(error, OSError) else None)
