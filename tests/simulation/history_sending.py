"""When each thing that is said is sent to ingest: in order or not, late, twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.types.custody import CustodyEvent
from contracts.types.detainer import DetainerCommand
from tests.simulation.history_detainers import Wanted
from tests.simulation.history_life import Draft, Life

__all__ = ["Send", "schedule"]


@dataclass(frozen=True)
class Send:
    """Something sent to ingest `at` seconds after the start. event_id: of a custody event, else empty."""

    at: float
    source: str
    event_id: str
    body: Draft | DetainerCommand
    note: str

    @property
    def content(self) -> CustodyEvent | DetainerCommand:
        return self.body.event if isinstance(self.body, Draft) else self.body

    @property
    def custody(self) -> Draft | None:
        return self.body if isinstance(self.body, Draft) else None

    @property
    def command(self) -> DetainerCommand | None:
        return None if isinstance(self.body, Draft) else self.body


def schedule(
    rng: random.Random, lives: Sequence[Life], wanted: Sequence[Wanted], mass: str | None, span_s: float = 100.0
) -> tuple[Send, ...]:
    """When each thing is sent: mostly in order or in none, some of it late, some of it twice. Commands about one
    detainer stay in order, each a while after the one before, as an agency waits for an answer."""
    sends: list[Send] = []
    orderly = rng.random() < 0.4
    burst_s = rng.choice((0, 0, 5))
    drafts = [(life, draft) for life in lives for draft in life.drafts]
    drafts.sort(key=lambda d: (d[1].event.occurred_at, d[1].event.sequence, d[1].source, d[1].event_id))
    for place, (life, draft) in enumerate(drafts):
        at = span_s * place / len(drafts) if orderly else rng.uniform(0, span_s)
        if life.facility == mass and draft is life.drafts[-1]:
            at = span_s + rng.uniform(0, burst_s)  # the releases of the mass come in one batch, or a few
        elif rng.random() < 0.1:
            at += rng.uniform(0, 100)
        kind = str(draft.event.__struct_config__.tag)
        note = f"{life.booking} {draft.note or kind} ({draft.event_id})"
        sends.append(Send(round(at, 2), draft.source, draft.event_id, draft, note))
    for w in wanted:
        times = sorted(rng.uniform(0, span_s) for _ in w.commands)
        if w.late:
            times[-1] = span_s + rng.uniform(3, 40)
        for nth, (at, command) in enumerate(zip(times, w.commands, strict=True)):
            note = f"{w.reference} {command.__struct_config__.tag}"
            sends.append(Send(round(at + 2 * nth, 2), w.office.source, "", command, note))
    again = [
        Send(round(s.at + rng.uniform(0, 60), 2), s.source, s.event_id, s.body, f"{s.note}, again")
        for s in sends
        if rng.random() < 0.12
    ]
    return tuple(sorted([*sends, *again], key=lambda s: (s.at, s.source, s.event_id, s.note)))
