"""What the fold of a partition takes in, one at a time."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from services.matcher.domain.episode import Fact

__all__ = [
    "BreakerInput",
    "CustodyInput",
    "DecisionInput",
    "DetainerInput",
    "FeedInput",
    "Input",
    "ModelInput",
    "PlaceInput",
    "Tick",
]


class CustodyInput(Struct, frozen=True, gc=False):
    """A custody event of this partition, and the id of its episode."""

    fact: Fact
    episode_id: str


class DetainerInput(Struct, frozen=True, gc=False):
    """A detainer that the book now holds in a new version."""

    detainer_id: str


class DecisionInput(Struct, frozen=True, gc=False):
    """A pair that somebody decided on."""

    detainer_id: str
    episode_id: str


class BreakerInput(Struct, frozen=True, gc=False):
    """A breaker of the facility tripped, or an operator decided on it."""

    facility: str
    breaker_id: str


class FeedInput(Struct, frozen=True, gc=False):
    """Some partition has counted the facility anew; only its steward cares."""

    facility: str


class ModelInput(Struct, frozen=True, gc=False):
    """An episode that has to be judged by the model of now, having been judged by another."""

    episode_id: str


class PlaceInput(Struct, frozen=True, gc=False):
    """A facility that is in another time zone than was known."""

    facility: str


class Tick(Struct, frozen=True, gc=False):
    """Time has passed: the earliest timer that has run out is looked at. One tick, one timer."""


Input: TypeAlias = (
    CustodyInput | DetainerInput | DecisionInput | BreakerInput | FeedInput | ModelInput | PlaceInput | Tick
)
