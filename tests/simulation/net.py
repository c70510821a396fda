"""The wire between a process and a server: requests take time, get lost, or are served and their answer is lost.

A request that has left belongs to the wire: it arrives though its sender was killed or held meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.loop import Process, VirtualLoop, current_process

__all__ = ["Server"]


class Server:
    """What a model of a server stands on.

    away: while it is, requests are refused or lost. lossy: share of requests, and of answers, that get lost.
    refused, lost: make the error that a caller gets: surely not served; not known to be.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        rng: Random,
        name: str,
        *,
        refused: Callable[[], BaseException],
        lost: Callable[[], BaseException],
        timeout_s: float,
        served: tuple[type[BaseException], ...],
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.process = loop.process(name)
        self.away = False
        self.lossy = 0.0
        self.slow = 1.0
        self.lost_answers = 0
        self.lost_requests = 0
        self._refused, self._lost = refused, lost
        self._timeout_s = timeout_s
        self._served = served
        self.broken: list[Exception] = []

    def request(self, serve: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Have `serve(*args)` called at the server. A future that it returns is waited for before it answers."""
        if self.loop.closing:
            raise asyncio.CancelledError
        future: asyncio.Future[Any] = self.loop.create_future()
        sender = current_process()
        if self.away and self.rng.random() < 0.5:
            self._fail(sender, future, 0.01, self._refused())
            return future
        arrives = 0.0 if self.lossy and self.rng.random() < self.lossy else self._latency()
        if not arrives:
            self.lost_requests += 1
            self._fail(sender, future, self._timeout_s, self._lost())
            return future
        self.loop.call_later(arrives, self._arrive, sender, future, serve, args, context=self.process.context)
        return future

    def _latency(self) -> float:
        # Mostly a millisecond, at times much more: what is slow is overtaken by what is not.
        spread = self.rng.random()
        return (0.0005 + 0.002 * spread + (0.3 * self.rng.random() if spread > 0.97 else 0.0)) * self.slow

    def _arrive(self, sender: Process, future: asyncio.Future[Any], serve: Callable[..., Any], args: Any) -> None:
        if self.away:
            self._fail(sender, future, self._timeout_s, self._lost())
            return
        try:
            result = serve(*args)
        except self._served as error:
            self._answer(sender, future, None, error)
        except Exception as error:
            self.broken.append(error)  # a bug of the model: the world looks here
        else:
            if isinstance(result, asyncio.Future):
                result.add_done_callback(lambda done: self._later(sender, future, done))
            else:
                self._answer(sender, future, result, None)

    def _later(self, sender: Process, future: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            error = done.exception()
            self._answer(sender, future, None if error else done.result(), error)

    def _answer(self, sender: Process, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        if self.away or (self.lossy and self.rng.random() < self.lossy):
            self.lost_answers += 1
            self._fail(sender, future, self._timeout_s, self._lost())
            return
        self.loop.call_later(self._latency(), _settle, future, result, error, context=sender.context)

    def _fail(self, sender: Process, future: asyncio.Future[Any], after_s: float, error: BaseException) -> None:
        self.loop.call_later(after_s, _settle, future, None, error, context=sender.context)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # somebody who was cancelled does not ask for it any more
    else:
        future.set_result(result)
