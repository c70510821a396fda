"""What one transaction of a partition publishes: gathered while its inputs are judged, counted once it is committed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aiokafka import ConsumerRecord

from contracts.types.feed import FeedState
from services.matcher.adapters.changelog import (
    PROGRESS_KEY,
    STATE_TOPIC,
    Progress,
    encode_episode,
    encode_progress,
    encode_watch,
    watch_key,
)
from services.matcher.adapters.records import (
    breaker_record,
    conflict_record,
    custody_input_of,
    feed_record,
    review_record,
    tally_record,
)
from services.matcher.adapters.traces import Contexts, span_of
from services.matcher.domain.fold import REFUSALS, Outputs, evolve
from services.matcher.domain.inputs import (
    BreakerInput,
    CustodyInput,
    DecisionInput,
    DetainerInput,
    FeedInput,
    Input,
    ModelInput,
    PlaceInput,
    Tick,
)
from services.matcher.domain.partition import PartitionState
from services.matcher.metrics import AGE, BREAKERS, CONFLICTS, EPISODES, HELD, INPUTS, REVIEWS, SILENT, TRANSACTION
from services.platform import tracing
from services.platform.errors import ContractViolation
from services.platform.kafka.outlets import OutRecord
from services.platform.kafka.rejects import unreadable
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS
from services.platform.tracing import Span

__all__ = ["Transaction"]

log = get_logger(__name__)
_UNTRACED: Final = Span(None)
_KINDS: Final[Mapping[type[Input], str]] = {
    CustodyInput: "custody",
    DetainerInput: "detainer",
    DecisionInput: "decision",
    BreakerInput: "breaker",
    FeedInput: "feed",
    ModelInput: "identity_model",
    PlaceInput: "time_zone",
    Tick: "timer",
}


class Transaction:
    """Inputs judged at `now`, and what they led to. custody: next offset of custody.events.v1.

    behind: there is a backlog of before this owner. It is judged by the time at which each event was accepted: after an
    outage of ours, a hold must not be found to have run out since the release, two records on, is not read yet.

    contexts: what changes of the ground belong to.
    """

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        custody: int,
        now: datetime,
        *,
        behind: bool,
        contexts: Contexts,
    ) -> None:
        self.custody = custody
        self._partition = partition
        self._state = state
        self._now = now
        self._behind = behind
        self._inputs: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._refused: list[OutRecord] = []
        self._outputs: list[tuple[Outputs, Span]] = []
        self._contexts = contexts

    def judge(self, taken: ConsumerRecord | Input) -> None:
        """Take in what the inbox gave. A record that is no input, or is refused, is kept in rejects.v1 (G1)."""
        if isinstance(taken, ConsumerRecord):
            self.custody = taken.offset + 1
            try:
                self._evolve(custody_input_of(taken), taken)
            except ContractViolation as violation:
                self._refused.append(unreadable(taken, violation, "matcher", self._now))
                self._rejects[violation.reason] += 1
        else:
            self._evolve(taken, None)

    def _evolve(self, given: Input, record: ConsumerRecord | None) -> None:
        started = time.time_ns() if tracing.is_on() else None
        clock = self._now
        if self._behind:
            clock = min(clock, given.fact.accepted_at) if isinstance(given, CustodyInput) else self._state.clock
        outputs = evolve(self._state, given, self._now, clock)
        if outputs.refused is not None:
            raise ContractViolation(outputs.refused, REFUSALS[outputs.refused])
        kind = _KINDS[type(given)]
        self._inputs[kind] += 1
        span = _UNTRACED
        if outputs.conflicts or outputs.reviews:
            span = span_of(given, outputs, record, kind, self._contexts, started)
        self._outputs.append((outputs, span))

    def records(self) -> list[OutRecord]:
        """Everything that has to become visible together, but for `progress_record`. To be asked once."""
        state, partition = self._state, self._partition
        out = [*self._refused]
        changed: set[str] = set()
        watched: set[str] = set()
        for outputs, span in self._outputs:
            out += [conflict_record(conflict, span.traceparent) for conflict in outputs.conflicts]
            out += [review_record(review, span.traceparent) for review in outputs.reviews]
            out += map(breaker_record, outputs.breakers)
            out += map(feed_record, outputs.statuses)
            changed |= outputs.changed
            watched |= outputs.watched
        for facility in state.tallies.touched():
            out.append(tally_record(state.tallies.tally(facility), partition))
        for name in sorted(changed):
            out.append(OutRecord(STATE_TOPIC, name.encode(), encode_episode(state, name), (), partition))
        for facility in sorted(watched):
            out.append(OutRecord(STATE_TOPIC, watch_key(facility), encode_watch(state, facility), (), partition))
        return out

    def progress_record(self, progress: Progress) -> OutRecord:
        return OutRecord(STATE_TOPIC, PROGRESS_KEY, encode_progress(progress), (), self._partition)

    def failed(self, code: str) -> None:
        """It is not known to be committed; its inputs will be judged again."""
        for _, span in self._outputs:
            span.end(code)

    def committed(self, seconds: float, now: datetime) -> None:
        """Count what is visible now, and log what an operator has to hear of."""
        TRANSACTION.observe(seconds)
        EPISODES.labels(str(self._partition)).set(len(self._state.episodes))
        HELD.labels(str(self._partition)).set(len(self._state.held - self._state.rounds.keys()))
        for kind, count in self._inputs.items():
            INPUTS.labels(kind).inc(count)
        for reason, count in self._rejects.items():
            REJECTS.labels(reason).inc(count)
        for outputs, span in self._outputs:
            span.end()
            for conflict in outputs.conflicts:
                CONFLICTS.labels(conflict.stage).inc()
                AGE.observe((now - conflict.cause.accepted_at).total_seconds())
            for review in outputs.reviews:
                REVIEWS.labels(review.status).inc()
            for breaker in outputs.breakers:
                BREAKERS.inc()
                log.error("breaker_tripped", facility=breaker.facility, count=breaker.releases)
            for status in outputs.statuses:
                silent = status.state is FeedState.SILENT
                SILENT.labels(status.state).inc()
                (log.error if silent else log.info)(f"feed_{status.state}", facility=status.facility)
