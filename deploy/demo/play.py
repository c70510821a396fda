"""Play a world through a running system, wait for it to come to rest, and judge what came out."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.demo.access import Access, ApiError, Seen
from deploy.demo.judge import Verdict, judge
from deploy.demo.sender import Sender
from deploy.demo.world.script import Expected, Post

__all__ = ["Latencies", "Play", "percentile"]

_QUIET_S = 2.5
"""Nothing may have moved for so long: longer than the services take between two looks at their lag (1 s here)."""
_LOOK_S = 0.25
_LAG = re.compile(r"^sallyport_consumer_lag_records\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Latencies:
    """Milliseconds until the webhook's last byte was read by its receiver, sorted; one value for each notice that came
    of something sent in the stream. What was overtaken by a newer version before it was sent has none.

    from_accepted: from `accepted_at`, which ingest stamps when it has read the request, before Kafka has it.
    from_sent: from just before the sender began its request. All clocks are the machine's own.
    """

    from_accepted: list[float]
    from_sent: list[float]


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank of sorted values; NaN of none."""
    return values[min(len(values) - 1, round(share * (len(values) - 1)))] if values else float("nan")


class Play:
    """One run. expected: grows with what is sent; whatever else comes out is extra."""

    def __init__(self, system: Access, observer: Seen, *, sender_deadline_s: float = 60.0) -> None:
        self.system = system
        self.observer = observer
        self.sender = Sender(system.ingest.url, system.keys, deadline_s=sender_deadline_s)
        self.expected: list[Expected] = []

    async def lodge(self, posts: Sequence[Post]) -> None:
        await self.sender.preload(posts)

    async def stream(
        self, posts: Sequence[Post], per_second: float, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        await self.sender.stream(posts, per_second, progress=progress)

    def verdict(self) -> Verdict:
        """As things are now."""
        if self.observer.failed is not None:
            raise RuntimeError("the observer of conflicts.v1 failed") from self.observer.failed
        # Arrivals first: what they tell of was on the topic before. The observer may still be a poll behind, and then
        # the next look sees it.
        arrivals = self.system.arrivals()
        return judge(
            self.expected, list(self.observer.conflicts), list(self.observer.reviews), arrivals, self.system.mailed
        )

    async def settle(self, deadline_s: float, during: Callable[[Verdict], None] = lambda _: None) -> Verdict:
        """Wait until nothing is missing and all is quiet, or the deadline passed; the verdict either way.

        Extra things end no wait: they show in the verdict.
        """
        over = threading.Event()
        try:
            return await asyncio.to_thread(self._settle, deadline_s, during, over)
        finally:
            over.set()  # cancelled: asyncio would wait for the thread, and the thread for its deadline

    def _settle(self, deadline_s: float, during: Callable[[Verdict], None], over: threading.Event) -> Verdict:
        until = time.monotonic() + deadline_s
        seen: tuple[int, ...] = ()
        since = time.monotonic()
        while True:
            verdict = self.verdict()
            during(verdict)
            now = time.monotonic()
            counts = (
                len(self.observer.conflicts),
                len(self.observer.reviews),
                verdict.webhooks,
                verdict.emails,
            )
            if counts != seen or verdict.missing or not self.is_quiet():
                seen, since = counts, now
            if now - since >= _QUIET_S or now >= until or over.wait(_LOOK_S):
                return verdict

    def is_quiet(self) -> bool:
        """No consumer lags, and no notice waits to be sent, as far as the services know."""
        for service in self.system.consumers:
            status, text = service.get("/metrics")
            lags = [float(value) for value in _LAG.findall(text)]
            if status != 200 or not lags or any(lags):
                return False
        try:
            return not any(self.system.notices(office.code, "&status=pending") for office in self.system.agencies)
        except ApiError:
            return False

    def latencies(self, verdict: Verdict) -> Latencies:
        """From an input to the webhook of the version that it led to."""
        accepted: list[float] = []
        sent: list[float] = []
        for conflict in self.observer.conflicts:
            at = verdict.first_arrivals.get((conflict.conflict_id, conflict.version))
            if at is None:
                continue
            cause = conflict.cause
            begun = self.sender.sent.first_at.get((cause.source, cause.event_id))
            if begun is not None:  # not a batch before the stream, nor a roster
                accepted.append((at - cause.accepted_at.timestamp()) * 1000)
                sent.append((at - begun) * 1000)
        return Latencies(sorted(accepted), sorted(sent))
