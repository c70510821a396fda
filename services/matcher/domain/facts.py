"""One custody event as it was accepted, and which of two under one id is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from contracts.types.custody import CustodyEvent, Released

__all__ = ["Fact", "FactId", "joined", "replaces"]

FactId = tuple[str, str]
"""(source, event id): what names an event (CloudEvents 1.0, section 3.1)."""


class Fact(Struct, frozen=True, omit_defaults=True, gc=False):
    """One custody event as it was accepted.

    again_at: of a `released`, when the same was last accepted once more. taken_at: the partition's clock when it was
    taken in, where `accepted_at` was ahead of that; None: it was not.
    """

    source: str
    event_id: str
    accepted_at: Annotated[datetime, Meta(tz=True)]
    event: CustodyEvent
    again_at: Annotated[datetime, Meta(tz=True)] | None = None
    taken_at: Annotated[datetime, Meta(tz=True)] | None = None

    @property
    def id(self) -> FactId:
        return (self.source, self.event_id)

    @property
    def order(self) -> tuple[datetime, int, str, str]:
        """Which of two facts is the newer; the ids only make it total."""
        return (self.event.occurred_at, self.event.sequence, self.source, self.event_id)

    @property
    def size(self) -> int:
        """Bytes that it takes where it is kept."""
        return len(msgspec.json.encode(self)) + 1

    @property
    def heard_at(self) -> datetime:
        """When the facility was heard of by it: a clock of ingest that is ahead is not believed."""
        return self.taken_at or self.accepted_at

    @property
    def again(self) -> Fact | None:
        """The fact as it was last accepted; None if it was accepted once."""
        if self.again_at is None:
            return None
        return msgspec.structs.replace(self, accepted_at=self.again_at, again_at=None, taken_at=None)


def replaces(fact: Fact, known: Fact) -> bool:
    """Whether the fact, under the same id, has newer content (rule 8)."""
    return _tie(fact) > _tie(known)


def joined(known: Fact, fact: Fact) -> Fact:
    """What is kept of two under one id: the newer content; of one content that was accepted twice the first time, and
    of a release the last one too. `known` itself if `fact` says nothing new."""
    mine, theirs = _tie(known), _tie(fact)
    if mine != theirs:
        return known if mine > theirs else fact
    first = min(known, fact, key=lambda f: f.accepted_at)
    if not isinstance(fact.event, Released):
        return first
    last = max(f.again_at or f.accepted_at for f in (known, fact))
    again_at = last if last > first.accepted_at else None
    return first if first.again_at == again_at else msgspec.structs.replace(first, again_at=again_at)


def _tie(fact: Fact) -> tuple[datetime, int, bytes]:
    return (fact.event.occurred_at, fact.event.sequence, msgspec.json.encode(fact.event))
