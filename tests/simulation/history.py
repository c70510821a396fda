"""One seed, one history: some people, what their jails and the agencies say, and when each of it is sent to ingest.

All that is said has happened in the six weeks before `start`, and is sent within minutes, as by feeds that catch up
after an outage. What the future holds (releases to come, holds that run out, detainers that lapse) is reached by
turning the clock: `moments`. Nothing is put away on the way: that would be `put_away_at`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from contracts.types.conflict import Decision
from contracts.types.custody import Booked
from contracts.types.detainer import Detainer
from contracts.types.feed import BreakerState
from contracts.types.person import Identifier, Person
from contracts.types.registry import RegistryRecord, Source
from deploy.demo.world.places import AGENCIES, ICE_BOSTON, PLACES, Office, Place
from services.ingest.domain.detainers import decide, id_of
from services.ingest.domain.refusal import Refused
from tests.simulation.history_detainers import Wanted, lodge_and_change, lodge_plainly
from tests.simulation.history_life import Life
from tests.simulation.history_people import Form, People, same_person
from tests.simulation.history_sending import Send, schedule
from tests.simulation.truth_episode import Said

__all__ = ["History", "Opinion", "Send", "generate", "same_person"]

_STARTS = [
    datetime.fromisoformat(day + "T16:00Z")
    for day in (
        # Before holidays (some kept on another day), before and after the clocks change, and days like any other.
        "2021-12-29", "2022-06-16", "2023-02-01", "2024-11-08", "2025-07-02", "2025-11-25", "2025-12-23", "2026-01-15",
        "2026-02-13", "2026-03-06", "2026-05-20", "2026-07-01", "2026-08-18", "2026-10-30", "2027-06-17", "2027-12-30",
    )
]  # fmt: skip
_IN_CUSTODY = (*[Form.SID] * 4, *[Form.FULL] * 3, Form.BARE, Form.A_NUMBER, Form.OTHER_SID, Form.UNNAMED)
"""How people are known who are booked, by how often."""


@dataclass(frozen=True)
class Opinion:
    """What the reviewer says of some evidence, `delay_s` after seeing it."""

    decision: Decision
    delay_s: float
    reviewer: str
    reason: str


@dataclass(frozen=True)
class History:
    """mass_release_at: the facility whose feed releases everybody at once (rule 19), and what the operator makes of it
    `operator_delay_s` after the breaker has tripped, if it does (None: nothing)."""

    seed: int
    start: datetime
    places: tuple[Place, ...]
    offices: tuple[Office, ...]
    lives: tuple[Life, ...]
    wanted: tuple[Wanted, ...]
    sends: tuple[Send, ...]
    mass_release_at: str | None
    operator: BreakerState | None
    operator_delay_s: float

    @property
    def zones(self) -> dict[str, str]:
        return {place.code: place.time_zone for place in self.places}

    @property
    def moments(self) -> tuple[datetime, ...]:
        """To turn the clock to, one after the other; at the last one every timer is due."""
        days = (20 / 1440, 1.2, 3.5, 8, 40)
        return tuple(self.start + timedelta(days=d) for d in days)

    @property
    def put_away_at(self) -> datetime:
        """When every episode of which nothing stands has been put away, by the default of 90 days."""
        return self.start + timedelta(days=120)

    def registry(self) -> list[RegistryRecord]:
        """Facilities, agencies, and sources: two for each facility, one for each agency; `key_of` has their keys."""
        sources = [
            Source(id=source, key_sha256=[_hashed(source)], facilities=[p.code])
            for p in self.places
            for source in (p.source, _second_source(p))
        ]
        sources += [Source(id=o.source, key_sha256=[_hashed(o.source)], agency=o.code) for o in self.offices]
        return [*(p.record() for p in self.places), *(o.record() for o in self.offices), *sources]

    @staticmethod
    def key_of(source: str) -> str:
        return f"key-{source}"

    def said(self, accepted: Callable[[Send], datetime] | None = None) -> list[Said]:
        """Every custody event that is sent, repeats among them, accepted when it is sent unless told otherwise."""
        when = accepted or self._sent_at
        return [
            Said(send.source, send.event_id, when(send), send.custody.event)
            for send in self.sends
            if send.custody is not None
        ]

    def detainers(self) -> list[Detainer]:
        """Every version of every detainer, if commands are accepted when and in the order in which they are sent."""
        versions: list[Detainer] = []
        current: dict[str, Detainer] = {}
        for send in self.sends:
            command = send.command
            if command is None:
                continue
            try:
                made = decide(command, current.get(id_of(command)), self._sent_at(send))
            except Refused:
                continue
            if made is not None:
                current[made.detainer_id] = made
                versions.append(made)
        return versions

    def opinions(self, detainer_id: str, episode_id: str, evidence_id: str) -> tuple[Opinion, ...]:
        """What the reviewer decides on seeing this evidence of this pair, whenever that is: nothing, one thing, or one
        and then the other."""
        rng = random.Random(f"{self.seed}|{detainer_id}|{episode_id}|{evidence_id}")
        if rng.random() < 0.35:
            return ()
        first, second = rng.sample((Decision.CONFIRM, Decision.REJECT), 2)
        delay = rng.uniform(0.5, 20)
        told = [Opinion(first, delay, "reviewer-1", "compared the photographs")]
        if rng.random() < 0.2:
            told.append(Opinion(second, delay + rng.uniform(1, 20), "reviewer-2", "called the agency"))
        return tuple(told)

    def describe(self) -> str:
        """The history in words, a line for each thing."""
        lines = [f"history {self.seed}, from {self.start:%Y-%m-%d %H:%M} UTC"]
        lines += [f"  {p.code} ({p.name}), {p.time_zone}" for p in self.places]
        for life in self.lives:
            being = life.being
            lines.append(
                f"  booking {life.booking}: {being.given} {being.surname}, born {being.born}, SID {being.state} "
                f"{being.sid} or {being.other_sid}, {being.a_number}; booked under {life.form}"
            )
        for w in self.wanted:
            lines.append(f"  detainer {w.reference} of {w.office.code} on {w.being.given} {w.being.surname}")
        if self.mass_release_at:
            lines.append(f"  everybody is released at {self.mass_release_at}; the operator says {self.operator}")
        for send in self.sends:
            event = send.content
            told = ", ".join(
                f"{name} {_words(value)}"
                for name in event.__struct_fields__
                if name not in ("facility", "booking_number", "agency", "agency_reference", "charges")
                and (value := getattr(event, name))
            )
            lines.append(f"  {send.at:7.2f} s {send.source}: {send.note}: {told}")
        return "\n".join(lines)

    def _sent_at(self, send: Send) -> datetime:
        return self.start + timedelta(seconds=send.at)


def generate(seed: int, size: int = 3) -> History:
    """The history of a seed; the same in every process. size: bookings of people somebody may be after."""
    rng = random.Random(f"history {seed}")
    start = rng.choice(_STARTS) + timedelta(minutes=rng.randrange(-600, 600))
    places = tuple(sorted(rng.sample(PLACES, rng.choice((2, 2, 3))), key=lambda p: p.code))
    offices = (*rng.sample([a for a in AGENCIES if a is not ICE_BOSTON], 2), ICE_BOSTON)
    people = People(rng)
    lives = _lives(rng, start, places, offices, people, size)
    wanted: list[Wanted] = []
    beings = list(dict.fromkeys(life.being for life in lives))
    for number in range(rng.choice((2, 2, 3, 4))):
        being = rng.choice(beings) if rng.random() < 0.93 else people.namesake(beings[0])
        theirs = [life for life in lives if (life.being.surname, life.being.given) == (being.surname, being.given)]
        wanted += lodge_and_change(rng, start, f"D-{number + 1}", being, rng.choice((*offices, ICE_BOSTON)), theirs)
    mass = rng.choice(places) if rng.random() < 0.12 else None
    if mass is not None:
        strangers = _strangers(rng, start, mass, people)
        for number, life in enumerate(strangers):
            wanted.append(lodge_plainly(rng, start, f"D-M-{number + 1}", life.being, rng.choice(offices)))
        lives += strangers
        for life in lives:
            if life.facility == mass.code:
                life.release(-rng.uniform(1, 1.15))
    return History(
        seed=seed,
        start=start,
        places=places,
        offices=offices,
        lives=tuple(lives),
        wanted=tuple(wanted),
        sends=schedule(rng, lives, wanted, mass.code if mass else None),
        mass_release_at=mass.code if mass else None,
        operator=rng.choice((BreakerState.RELEASED, BreakerState.DISCARDED, BreakerState.DISCARDED, None)),
        operator_delay_s=rng.uniform(1, 30),
    )


def _lives(
    rng: random.Random,
    start: datetime,
    places: tuple[Place, ...],
    offices: tuple[Office, ...],
    people: People,
    size: int,
) -> list[Life]:
    lives: list[Life] = []
    agencies = [o.code for o in (*offices, ICE_BOSTON)]
    for number in range(rng.randint(1, size)):
        place = rng.choice(places)
        draw = rng.random()
        if lives and draw < 0.35:
            being = lives[-1].being  # booked once more (rule 17)
        elif lives and draw < 0.45:
            being = people.namesake(lives[-1].being)
        else:
            being = people.draw(place.state)
        life = Life(rng, start, place.code, place.source, f"B-{number + 1}", being, agencies)
        life.live(-rng.uniform(30, rng.choice((300, 1000))), rng.randint(2, 7), rng.choice(_IN_CUSTODY))
        for _ in range(rng.choice((0, 0, 1))):
            life.correct()
        for _ in range(rng.choice((0, 0, 0, 1, 1))):
            life.take_back(_second_source(place))
        if rng.random() < 0.08:
            life.clutter()
        if rng.random() < 0.06:
            life.drafts = [d for d in life.drafts if not isinstance(d.event, Booked)] or life.drafts
        lives.append(life)
    return lives


def _strangers(rng: random.Random, start: datetime, place: Place, people: People) -> list[Life]:
    """People of one jail to whom nothing has happened: enough for a breaker, or just not."""
    strangers = []
    for number in range(rng.choice((24, 24, 8))):
        life = Life(rng, start, place.code, place.source, f"M-{number + 1}", people.draw(place.state), [])
        life.live(rng.uniform(-300, -20), 0, Form.SID)
        strangers.append(life)
    return strangers


def _second_source(place: Place) -> str:
    return f"records-{place.code.lower()}"


def _hashed(source: str) -> str:
    return sha256(History.key_of(source).encode()).hexdigest()


def _words(value: object) -> str:
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
        case Identifier():
            return f"{value.issuer or ''} {value.value}".strip()
        case Person():
            claims = ", claims citizenship" if value.us_citizenship_claimed else ""
            numbers = " ".join(map(_words, value.identifiers)) or "no number"
            return f"({value.names[0].given} {value.names[0].surname}, {numbers}{claims})"
    return str(value)
