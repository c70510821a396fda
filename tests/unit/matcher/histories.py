"""Histories of one booking, wide enough for the whole lifecycle: what the properties of the fold are asked of.

Facts, detainers and breakers come from pools that are drawn once: few ids and two sources, so that one id often has two
contents and a void often meets something.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from contracts.ids import breaker_id
from contracts.types.conflict import Decision
from contracts.types.custody import (
    Booked,
    CustodyEvent,
    Died,
    Escaped,
    HeldElsewhere,
    Merged,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Unmerged,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Person
from services.matcher.domain.episode import Fact
from tests.unit.matcher.people import AGENCY, FACILITY, START, at, detainer, fact, person, sid
from tests.unit.matcher.world import Given, World, decide

__all__ = ["FACTS", "LONG_AFTER", "Step", "disturbed", "histories", "played"]

LONG_AFTER: Final = 60 * 24
"""Hours from the start after which no timer of these histories is left, but for those of retention."""
Step = Given | float | None
"""An input; hours that pass; None: a crash, after which only what is durable is left."""

_SOURCES: Final = ("hartford-jms", "hartford-jms", "roster")
_KINDS: Final[tuple[type[CustodyEvent], ...]] = (
    Booked, Booked, Updated, ReleaseScheduled, ReleaseScheduled, ReleaseCancelled, Released, Released, Released,
    Returned, Escaped, Transferred, HeldElsewhere, Died, Merged, Unmerged,
)  # fmt: skip
_HELD: Final = (
    person(),
    person(),
    person(sid=None),
    person(ucn="XY12"),
    person("Quillfether", sid="9999999"),
    person("Ottermole", "Vashti", "1971-12-01", sid="7777777"),
)
_REASONS: Final = (
    *[ReleaseReason.BOND] * 4, ReleaseReason.COURT, ReleaseReason.TRANSFER, ReleaseReason.ESCAPE, ReleaseReason.DEATH
)  # fmt: skip
_EXPIRES: Final = (None, None, at(9), at(30), at(300))
_STATES: Final = (
    *[DetainerState.ACTIVE] * 8,
    *(state for state in DetainerState if state is not DetainerState.EXPIRED),
)
_SIDS: Final = (sid("1234567"), sid("9999999"), sid("5550001"))


def _said(rng: Random, kind: type[CustodyEvent]) -> dict[str, Any]:
    if kind is Booked:
        return {"person": rng.choice(_HELD)}
    if kind is Updated:
        return {"person": rng.choice((None, Person(us_citizenship_claimed=True), *_HELD))}
    if kind is ReleaseScheduled:
        return {
            "scheduled_for": at(rng.choice((5, 10, 30, 100))),
            "released_to": rng.choice((None, None, AGENCY)),
            "reason": rng.choice((ReleaseReason.BOND, ReleaseReason.COURT)),
        }
    if kind is Released:
        if rng.random() < 0.3:
            return {"inferred": True}
        return {"released_to": rng.choice((None, None, AGENCY)), "reason": rng.choice(_REASONS)}
    if kind is Transferred:
        return {"to_facility": "CTMACDGL0"}
    if kind in (Merged, Unmerged):
        absorbed, surviving = rng.sample(_SIDS, 2)
        return {"absorbed": absorbed, "surviving": surviving}
    return {}


def _fact(rng: Random, kind: type[CustodyEvent] | None = None) -> Fact:
    kind, hours = kind or rng.choice(_KINDS), rng.choice((0, 1, 2, 3, 5, 8, 10, 11, 12, 13, 20, 24, 40))
    name = f"{kind.__struct_config__.tag}{rng.randrange(3)}"
    made = fact(kind, hours, name, rng.choice((0, 0, 1)), **_said(rng, kind))
    accepted_at = at(hours + rng.choice((0, 0, 0.1, 5, 30)))
    return msgspec.structs.replace(made, accepted_at=accepted_at, source=rng.choice(_SOURCES))


def _void(rng: Random) -> Fact:
    hours = rng.choice((6, 14, 15, 16, 30))
    name = rng.choice((str(rng.choice(_KINDS).__struct_config__.tag), "void"))
    source = rng.choice((None, "hartford-jms", "roster"))
    ids = (f"void{rng.randrange(3)}", f"{name}{rng.randrange(3)}")
    made = fact(Voided, hours, ids[0], voids_event=ids[1], voids_source=source)
    return msgspec.structs.replace(made, accepted_at=at(hours + rng.choice((0, 1))), source=rng.choice(_SOURCES))


def _versions(rng: Random, reference: str) -> list[Detainer]:
    """A detainer, and what became of it; no two versions of one time and sequence."""
    lodged, who, expires = rng.choice((-24, -24, 1, 11, 14, 30, 24 * 40)), rng.choice(_HELD[:5]), rng.choice(_EXPIRES)
    kind, intent = rng.choice((DetainerType.IMMIGRATION, DetainerType.WRIT)), rng.choice(tuple(Intent))
    first = detainer(lodged, reference=reference, type=kind, who=who, intent=intent)
    later = [
        detainer(
            lodged,
            rng.choice(_STATES),
            lodged + rng.choice((1, 5, 12, 20, 60)),
            reference=reference,
            sequence=number + 1,
            type=rng.choice((kind, DetainerType.IMMIGRATION)),
            who=rng.choice((who, who, *_HELD)),
        )
        for number in range(rng.randint(0, 2))
    ]
    return [msgspec.structs.replace(made, expires_at=rng.choice((expires, expires, None))) for made in (first, *later)]


def _breakers(rng: Random) -> list[Breaker]:
    """Breakers that trip, each before its operator decides."""
    found: list[Breaker] = []
    for number in range(rng.choice((0, 0, 0, 1, 1, 2))):
        since = at(rng.choice((4, 9, 11)))
        tripped = Breaker(
            breaker_id=breaker_id(FACILITY, since.isoformat(), number), facility=FACILITY, state=BreakerState.TRIPPED,
            since=since, tripped_at=at(12 + number), releases=12, population=20, window_s=3600,
        )  # fmt: skip
        decided = msgspec.structs.replace(
            tripped, state=rng.choice((BreakerState.RELEASED, BreakerState.DISCARDED)),
            decided_at=at(13 + number + rng.choice((0, 20))), decided_by="operator-1", reason="asked the jail",
        )  # fmt: skip
        found += [tripped, decided]
    return found


_RNG: Final = Random(20230101)
FACTS: Final = st.sampled_from([*(_fact(_RNG) for _ in range(700)), *(_void(_RNG) for _ in range(200))])
_BOOKINGS: Final = st.sampled_from([_fact(_RNG, Booked) for _ in range(100)])
_WANTED: Final = st.sampled_from([_versions(_RNG, "D-1") for _ in range(150)])
_WANTED_TOO: Final = st.sampled_from([[], *(_versions(_RNG, "D-2") for _ in range(150))])
_STOPS: Final = st.sampled_from([_breakers(_RNG) for _ in range(60)])


@st.composite
def histories(draw: st.DrawFn) -> list[Given]:
    """Some facts, a detainer or two, breakers, and decisions on reviews that these lead to."""
    wanted = [*draw(_WANTED), *(draw(_WANTED_TOO) if draw(st.booleans()) else [])]
    booked = draw(st.lists(_BOOKINGS, min_size=1, max_size=2)) if draw(st.integers(0, 9)) else []
    said: list[Given] = [*wanted, *booked, *draw(st.lists(FACTS, min_size=1, max_size=10)), *draw(_STOPS)]
    reviews = played(said).reviews
    if reviews:
        choice = st.tuples(st.integers(0, len(reviews) - 1), st.sampled_from(Decision), st.sampled_from((50, 51, 52)))
        said += [decide(reviews[n], decision, hours) for n, decision, hours in draw(st.lists(choice, max_size=3))]
    return said


def disturbed(said: Sequence[Given]) -> st.SearchStrategy[list[Step]]:
    """The same in another order, with repeats anywhere, and with time and crashes in between. A breaker trips before it
    is decided on: its records are on one topic under one key."""

    @st.composite
    def steps(draw: st.DrawFn) -> list[Step]:
        repeats = draw(st.lists(st.sampled_from(said), max_size=4))
        inputs: list[Step] = list(draw(st.permutations([*said, *repeats])))
        stops = iter(sorted((x for x in inputs if isinstance(x, Breaker)), key=lambda b: b.decided_at or b.tripped_at))
        inputs = [next(stops) if isinstance(step, Breaker) else step for step in inputs]
        between = st.tuples(st.integers(0, len(inputs)), st.sampled_from((None, 1.0, 10.0, 40.0, 100.0)))
        for place, step in draw(st.lists(between, max_size=3)):
            inputs.insert(place, step)
        return inputs

    return steps()


def played(steps: Sequence[Step]) -> World:
    """What they lead to once every timer has run out."""
    world = World()
    for step in steps:
        if step is None:
            world = world.restarted()
        elif isinstance(step, float):
            world.pass_time((world.now - START) / timedelta(hours=1) + step)
        else:
            world.take(step)
    return world.pass_time(LONG_AFTER)
