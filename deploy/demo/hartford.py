"""The case that the system was asked for (DOMAIN.md): Hartford Correctional Center, 2022 to 2023, step by step."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table

from contracts.types.common import Tier
from contracts.types.conflict import Conflict, Stage
from contracts.types.custody import Booked, Charge, CustodyEvent, Released, ReleaseReason, ReleaseScheduled
from contracts.types.detainer import CustodyAssumed, DetainerCommand, DetainerType, Intent, Lodge
from deploy.demo.play import Play
from deploy.demo.world.people import Link, Population
from deploy.demo.world.places import HARTFORD, ICE_BOSTON
from deploy.demo.world.script import Booking, Expected, Lodged, Post

__all__ = ["Step", "Told", "play_hartford", "steps", "table"]

_ZONE = ZoneInfo(HARTFORD.time_zone)
_LIFE = -1
_TOLD_WITHIN_S = 30.0


@dataclass(frozen=True)
class Step:
    """post: what is sent. stage: which notice must follow; None: none. words: for people."""

    words: str
    post: Post
    stage: Stage | None


@dataclass(frozen=True)
class Told:
    """What came of a step. after_ms: from the beginning of the sender's request to the webhook; None: none came."""

    step: Step
    conflict: Conflict | None
    after_ms: float | None


def _at(year: int, month: int, day: int, hour: int) -> datetime:
    return datetime(year, month, day, hour, tzinfo=_ZONE)


def steps(population: Population, run: str = "") -> tuple[list[Step], Expected]:
    """The story, and where it must end: closed, 62 days after the release. run: makes its references this run's."""
    human = population.draw()
    booking = Booking(HARTFORD, f"HCC-2022-0914{run}")
    lodged = Lodged(ICE_BOSTON, f"I247A-2022-1017{run}", Link.SID, HARTFORD.operator)
    jail: dict[str, Any] = {"facility": HARTFORD.code, "booking_number": booking.number}
    agency: dict[str, Any] = {"agency": ICE_BOSTON.code, "agency_reference": lodged.reference}
    booked, out, taken = _at(2022, 9, 14, 15), _at(2023, 2, 1, 10), _at(2023, 4, 4, 11)
    # Clocks went forward on 12 March: 10:00 to 11:00 by the wall is 62 days to the second.
    assert taken - out == timedelta(days=62, hours=1)
    events: tuple[tuple[str, CustodyEvent | DetainerCommand, Stage | None], ...] = (
        (
            "booked at Hartford",
            Booked(
                **jail,
                occurred_at=booked,
                person=population.booked_at(human, HARTFORD),
                charges=[Charge(code="53a-124")],
            ),
            None,
        ),
        (
            "ICE/ERO Boston lodges an I-247A",
            Lodge(
                **agency,
                occurred_at=_at(2022, 10, 17, 9),
                type=DetainerType.IMMIGRATION,
                intent=Intent.HOLD,
                person=population.wanted(human, Link.SID, HARTFORD),
            ),
            Stage.IN_CUSTODY,
        ),
        (
            "release set for 1 February",
            ReleaseScheduled(
                **jail,
                occurred_at=_at(2023, 1, 27, 14),
                scheduled_for=out,
                reason=ReleaseReason.EXPIRATION_OF_SENTENCE,
            ),
            Stage.RELEASE_SCHEDULED,
        ),
        (
            "released into the community",
            Released(**jail, occurred_at=out, reason=ReleaseReason.EXPIRATION_OF_SENTENCE),
            Stage.RELEASED,
        ),
        (
            "ERO arrests him, reports custody",
            CustodyAssumed(**agency, occurred_at=taken),
            Stage.CLOSED,
        ),
    )
    story: list[Step] = []
    for index, (words, body, stage) in enumerate(events):
        is_event = isinstance(body, Booked | ReleaseScheduled | Released)
        source = HARTFORD.source if is_event else ICE_BOSTON.source
        post = Post(body.occurred_at, _LIFE, source, body, f"hartford{run}-{index}" if is_event else None)
        story.append(Step(words, post, stage))
    seconds = taken.timestamp() - out.timestamp()
    expected = Expected(
        plot="hartford",
        agency=ICE_BOSTON.code,
        detainer_id=lodged.detainer_id,
        episode_id=booking.episode_id,
        tier=Tier.CONFIRMED,
        stage=Stage.CLOSED,
        closed_because="custody_assumed",
        time_to_custody_s=seconds,
    )
    return story, expected


async def play_hartford(play: Play, population: Population, run: str = "") -> list[Told]:
    """Send one step after the other, each when the one before was told."""
    story, expected = steps(population, run)
    play.expected.append(expected)
    told: list[Told] = []
    version = 0
    for step in story:
        begun = time.time()
        await play.stream([step.post], 1000)
        if step.stage is None:
            told.append(Told(step, None, None))
            continue
        version += 1
        told.append(await _wait(play, step, expected.conflict_id, version, begun))
    return told


async def _wait(play: Play, step: Step, conflict_id: str, version: int, begun: float) -> Told:
    until = time.monotonic() + _TOLD_WITHIN_S
    while time.monotonic() < until:
        found = [c for c in play.observer.conflicts if (c.conflict_id, c.version) == (conflict_id, version)]
        verdict = await asyncio.to_thread(play.verdict)
        at = verdict.first_arrivals.get((conflict_id, version))
        if found and at is not None:
            return Told(step, found[0], (at - begun) * 1000)
        await asyncio.sleep(0.05)
    return Told(step, None, None)


def table(told: list[Told]) -> Table:
    """The story, for people."""
    shown = Table(title="The Hartford case: what would have been told, and when", title_justify="left")
    shown.add_column("date")
    shown.add_column("what happened")
    shown.add_column("notice to ICE/ERO Boston")
    shown.add_column("webhook after", justify="right")
    for one in told:
        at = one.step.post.body.occurred_at
        notice, after = "—", ""
        if one.step.stage is not None:
            notice = "[red]none came[/red]"
        if one.conflict is not None and one.after_ms is not None:
            notice = f"{one.conflict.stage.replace('_', ' ')} (version {one.conflict.version})"
            after = f"{one.after_ms:.0f} ms"
            if one.conflict.time_to_custody_s is not None:
                notice += f", {one.conflict.time_to_custody_s / 86_400:.0f} days to custody"
        shown.add_row(f"{at.day} {at:%b %Y}", one.step.words, notice, after)
    shown.caption = (
        "Whether Connecticut's TRUST Act lets these notices out is policy, and comes in a later issue; "
        "this run tells whatever the identity allows."
    )
    shown.caption_justify = "left"
    return shown
