"""What agencies do with their detainers, as the commands that ingest gets."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.types.detainer import (
    Amend,
    CustodyAssumed,
    Decline,
    DetainerCommand,
    DetainerType,
    Intent,
    Lift,
    Lodge,
    Supersede,
    Withdraw,
)
from deploy.demo.world.places import Office
from tests.simulation.history_life import Life
from tests.simulation.history_people import Being, Form

__all__ = ["Wanted", "lodge_and_change", "lodge_plainly"]

_FORMS = (*[Form.SID] * 5, Form.FULL, Form.FULL, Form.BARE, Form.A_NUMBER, Form.OTHER_SID, Form.ELSEWHERE)


@dataclass(frozen=True)
class Wanted:
    """One detainer: on whom, by which agency, and every command about it in its order. late: the last of them comes
    after what the jails say."""

    being: Being
    office: Office
    reference: str
    commands: tuple[DetainerCommand, ...]
    late: bool = False


def lodge_plainly(rng: random.Random, start: datetime, reference: str, being: Being, office: Office) -> Wanted:
    """A detainer on somebody who is in custody for a day at least, and is the one beyond doubt; of some the agency says
    late that they have another SID."""
    lodge = Lodge(
        agency=office.code,
        agency_reference=reference,
        occurred_at=start - timedelta(minutes=rng.randrange(120, 1140)),
        type=rng.choice(office.types),
        intent=Intent.HOLD,
        person=being.as_recorded(Form.SID),
    )
    if rng.random() < 0.75:
        return Wanted(being, office, reference, (lodge,))
    amend = Amend(
        agency=office.code,
        agency_reference=reference,
        occurred_at=start - timedelta(minutes=30),
        type=lodge.type,
        intent=lodge.intent,
        person=being.as_recorded(Form.OTHER_SID),
    )
    return Wanted(being, office, reference, (lodge, amend), late=True)


def lodge_and_change(
    rng: random.Random, start: datetime, reference: str, being: Being, office: Office, lives: list[Life]
) -> list[Wanted]:
    """A detainer on somebody who is in `lives`; two, where another supersedes it."""
    hour, moments = _lodging(rng, lives)
    commands: list[DetainerCommand] = []

    def at(h: float) -> datetime:
        return start + timedelta(minutes=round(h * 60))

    def after(h: float) -> float:
        """Some time later, now and then the very minute in which custody ended."""
        later = [m for m in moments if h < m < -0.1]
        if later and rng.random() < 0.1:
            return rng.choice(later)
        return h + min(rng.uniform(0.05, 0.6) * -h, 400)

    kind = rng.choice(office.types)
    intent = Intent.HOLD if rng.random() < 0.75 else Intent.NOTIFY_ONLY
    expires = None
    if rng.random() < 0.25:
        expires = at(rng.choice((after(hour), rng.uniform(-50, 160), rng.uniform(160, 480)))) + timedelta(seconds=30)
    person = being.as_recorded(rng.choice(_FORMS), rng.random() < 0.06)

    def name(when: float) -> dict[str, object]:
        return {"agency": office.code, "agency_reference": reference, "occurred_at": at(when)}

    commands.append(Lodge(**name(hour), type=kind, intent=intent, person=person, expires_at=expires))  # type: ignore[arg-type]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        hour = after(hour)
        if rng.random() < 0.6:
            person = being.as_recorded(rng.choice(_FORMS), rng.random() < 0.06)
        elif rng.random() < 0.5:
            expires = None if expires else at(rng.uniform(max(hour, -200), 300)) + timedelta(seconds=30)
        else:
            intent = Intent.NOTIFY_ONLY if intent is Intent.HOLD else Intent.HOLD
        commands.append(Amend(**name(hour), type=kind, intent=intent, person=person, expires_at=expires))  # type: ignore[arg-type]
    second: list[Wanted] = []
    if rng.random() < 0.35:
        hour = after(hour)
        end = rng.choice((Lift, Lift, Withdraw, Decline, CustodyAssumed, CustodyAssumed, Supersede))
        if end is Supersede:
            by = f"{reference}-new"
            commands.append(Supersede(**name(hour), by=by))  # type: ignore[arg-type]
            fields = name(hour) | {"agency_reference": by}
            again = Lodge(**fields, type=kind, intent=intent, person=person, expires_at=None)  # type: ignore[arg-type]
            second = [Wanted(being, office, by, (again,))]
        else:
            commands.append(end(**name(hour)))  # type: ignore[arg-type]
        if rng.random() < 0.1:  # too late: ingest refuses it
            commands.append(Amend(**name(after(hour)), type=DetainerType.WRIT, intent=intent, person=person))  # type: ignore[arg-type]
    return [Wanted(being, office, reference, tuple(commands)), *second]


def _lodging(rng: random.Random, lives: list[Life]) -> tuple[float, list[float]]:
    """When it is lodged: before, within or after custody, within the look-back or beyond it; and when custody ended."""
    if not lives:
        return rng.uniform(-900, -1), []
    life = rng.choice(lives)
    ends = sorted({end for life in lives for end in life.ends})
    first = (life.drafts[0].event.occurred_at - life.start).total_seconds() / 3600
    choices = [first - rng.uniform(1, 500), first - rng.uniform(1, 500), first + rng.uniform(0.01, 0.5) * -first]
    if life.ends:
        end = life.ends[-1]
        choices += [end, end + rng.uniform(1, 700), end + rng.uniform(1, 300)]
        if rng.random() < 0.3:
            choices.append(end + rng.uniform(721, 900))
    fitting = [hour for hour in choices if hour < -0.5]
    return rng.choice(fitting or [-0.5]), ends
