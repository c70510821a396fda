"""Feeds: what Sallyport says of a facility's feed, and where a breaker stopped it (rule 19)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from contracts.types.common import Code, Contract, Instant, ShortText, Text

__all__ = ["Breaker", "BreakerState", "FeedState", "FeedStatus"]

BreakerId = Annotated[str, Meta(pattern=r"^brk_[a-z2-7]{24}\Z")]


class BreakerState(StrEnum):
    """TRIPPED: the releases wait for an operator. RELEASED: they are true, and told. DISCARDED: they never were."""

    TRIPPED = "tripped"
    RELEASED = "released"
    DISCARDED = "discarded"


class Breaker(Contract, kw_only=True, frozen=True):
    """A feed that released more than a set share of its population in a window (rule 19).

    It is about the releases of the facility that occurred at `since` or later and, once an operator has decided, were
    accepted at `decided_at` or before. `releases` and `population` are what was counted when it tripped.
    """

    breaker_id: BreakerId
    facility: Code
    state: BreakerState
    since: Instant
    tripped_at: Instant
    releases: Annotated[int, Meta(ge=0)]
    population: Annotated[int, Meta(ge=0)]
    window_s: Annotated[float, Meta(ge=0)]
    decided_at: Instant | None = None
    decided_by: ShortText | None = None
    reason: Text | None = None


class FeedState(StrEnum):
    HEARD = "heard"
    SILENT = "silent"


class FeedStatus(Contract, kw_only=True, frozen=True):
    """Whether a facility is heard of as often as it usually is. `usual_gap_s`: seconds within which nine of ten of its
    recent messages followed the one before."""

    facility: Code
    state: FeedState
    last_heard_at: Instant
    usual_gap_s: Annotated[float, Meta(ge=0)]
    at: Instant
