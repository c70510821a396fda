"""`ROSTERS=DIR make demo`: real roster files as a feed, with detainers drawn by a seed from the rosters' own people.

The city publishes no names and no birth dates, and by a local id alone nobody is told of: so each file is sent with
three columns more, of people who do not exist, the same one for an inmateid in every file. The truth is computed from
the files by plain sets of (inmateid, admitted_dt); it shares no code with ingest.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console
from rich.table import Table

from contracts.types.common import Tier
from contracts.types.conflict import CustodyStatus, Stage
from contracts.types.detainer import Intent, Lodge
from contracts.types.person import Person, Sex
from contracts.types.registry import Facility, RosterMapping
from deploy.demo import report
from deploy.demo.play import Play
from deploy.demo.world.people import Human, Link, Population
from deploy.demo.world.places import AGENCIES, Credentials, Office, Place, credentials
from deploy.demo.world.script import Booking, Expected, Lodged, Post

__all__ = ["RosterWorld", "prepare", "replay"]

_ZONE = ZoneInfo("America/New_York")
_JAIL = Place("NYCDOC000", "New York City Department of Correction", "NY", "America/New_York", "NYCDOC000")
_MAPPING = RosterMapping(
    booking_number=["inmateid", "admitted_dt"],
    booked_at="admitted_dt",
    agency_local="inmateid",
    surname="surname",
    given="given",
    birth_date="birth_date",
    sex="gender",
    charge_code="top_charge",
)
_DETAINERS = 300
_LINKS = (Link.AGENCY_LOCAL,) * 8 + (Link.NAME,)
"""What the detainers know of their people; one in ten knows the local id and nothing else."""
_LATE_SHARE = 0.25
"""So many of the detainers are lodged in the midst of the days; some of their people are out by then."""
_LOOK_BACK = timedelta(days=30)
_SETTLE_S = 180.0

_Key = tuple[str, str]


@dataclass(frozen=True)
class Day:
    """One file. booked: bookings seen for the first time. released: in the file before only. back: were gone."""

    at: datetime
    raw: bytes
    present: frozenset[_Key]
    booked: int
    released: int
    back: int


@dataclass(frozen=True)
class RosterWorld:
    """lodged: by the index of the day before which it is lodged. someone: of the people of the first file, misspelt."""

    days: list[Day]
    lodged: dict[int, list[Post]]
    expected: list[Expected]
    credentials: Credentials
    offices: list[Office]
    someone: Person


def prepare(folder: Path, seed: int) -> RosterWorld:
    """Read the files, draw the detainers, and work out the truth. Raises SystemExit where there are no files."""
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    population = Population(random.Random(seed))  # noqa: S311
    humans: dict[str, Human] = {}
    days = _days(sorted([*folder.glob("*.csv.gz"), *folder.glob("*.csv")]), population, humans)
    if not days:
        raise SystemExit(f"{folder}: no roster files (YYYYMMDD.csv.gz)")
    people = sorted({person for day in days for person, _ in day.present})
    lodged: dict[int, list[Post]] = {}
    expected: list[Expected] = []
    bookings: dict[str, set[_Key]] = {}
    last: dict[_Key, int] = {}
    for index, day in enumerate(days):
        for key in day.present:
            bookings.setdefault(key[0], set()).add(key)
            last[key] = index
    for number, person in enumerate(rng.sample(people, min(_DETAINERS, len(people)))):
        office = rng.choice(AGENCIES)
        late = rng.random() < _LATE_SHARE
        index = rng.randrange(1, len(days)) if late and len(days) > 1 else 0
        # Noon: never the instant of a snapshot. The first day's are lodged long before.
        at = days[index].at + timedelta(hours=12) if index else days[0].at - timedelta(days=rng.uniform(1, 300))
        detainer = Lodged(office, f"R{seed}-{number:05d}", rng.choice(_LINKS), _JAIL.operator)
        human = humans[person]
        human.locals[_JAIL.operator] = person
        wanted = population.wanted(human, detainer.link, _JAIL)
        tier = detainer.tier(Booking(_JAIL, ""))
        if detainer.link is Link.AGENCY_LOCAL and number % 10 == 0:
            # One number, however good, is one signal: a person looks (DESIGN.md, "Identity").
            wanted, tier = Person(identifiers=wanted.identifiers), Tier.POSSIBLE
        lodged.setdefault(index, []).append(_lodge(detainer, wanted, at, rng))
        expected += [_truth(detainer, tier, at, key, days, last[key]) for key in sorted(bookings[person])]
    made = credentials([_JAIL], AGENCIES)
    jail = msgspec.structs.replace(_JAIL.record(), roster=_MAPPING)
    records = [jail if isinstance(record, Facility) else record for record in made.records]
    someone = population.wanted(population.everyone[0], Link.MISSPELT, _JAIL)
    return RosterWorld(days, lodged, expected, Credentials(made.keys, records), list(AGENCIES), someone)


def _days(files: list[Path], population: Population, humans: dict[str, Human]) -> list[Day]:
    """humans: inmateid -> whom that stands for; grows."""
    days: list[Day] = []
    seen: set[_Key] = set()
    before: frozenset[_Key] = frozenset()
    for file in files:
        raw = file.read_bytes()
        rows = list(csv.DictReader((gzip.decompress(raw) if file.suffix == ".gz" else raw).decode().splitlines()))
        present = frozenset((row["inmateid"], row["admitted_dt"]) for row in rows)
        at = datetime.strptime(file.name.partition(".")[0], "%Y%m%d").replace(tzinfo=_ZONE)
        days.append(
            Day(
                at=at,
                raw=_named(rows, population, humans),
                present=present,
                booked=len(present - seen),
                released=len(before - present),
                back=len((present - before) & seen),
            )
        )
        seen |= present
        before = present
    return days


def _named(rows: list[dict[str, str]], population: Population, humans: dict[str, Human]) -> bytes:
    """The file with the names and birth dates of people who do not exist."""
    text = io.StringIO()
    table = csv.DictWriter(text, [*rows[0], "surname", "given", "birth_date"], lineterminator="\n")
    table.writeheader()
    for row in rows:
        human = humans.get(row["inmateid"])
        if human is None:
            sex = Sex.FEMALE if row["gender"] == "F" else Sex.MALE
            human = humans[row["inmateid"]] = population.draw(sex=sex)
        table.writerow({**row, "surname": human.surname, "given": human.given, "birth_date": human.born.isoformat()})
    return text.getvalue().encode()


def _lodge(detainer: Lodged, person: Person, at: datetime, rng: random.Random) -> Post:
    command = Lodge(
        agency=detainer.office.code,
        agency_reference=detainer.reference,
        occurred_at=at,
        type=rng.choice(detainer.office.types),
        intent=rng.choice((Intent.HOLD, Intent.NOTIFY_ONLY)),
        person=person,
    )
    return Post(at, 0, detainer.office.source, command)


def _truth(detainer: Lodged, tier: Tier, at: datetime, key: _Key, days: list[Day], last: int) -> Expected:
    """In custody if the last file has the booking; else an inferred release at the first file after its last."""
    stage: Stage | None = Stage.IN_CUSTODY
    status: CustodyStatus | None = CustodyStatus.IN_CUSTODY
    if last < len(days) - 1:
        out = days[last + 1].at
        status = CustodyStatus.INFERRED_RELEASE
        if at <= out:
            stage = Stage.RELEASED
        else:
            stage = Stage.RELEASED_BEFORE_DETAINER if _elapsed(out, at) <= _LOOK_BACK else None
    return Expected(
        plot=f"roster {stage}",
        agency=detainer.office.code,
        detainer_id=detainer.detainer_id,
        episode_id=Booking(_JAIL, "/".join(key)).episode_id,
        tier=tier,
        stage=stage,
        status=status,
    )


def _elapsed(earlier: datetime, later: datetime) -> timedelta:
    """By the clock of UTC: between two times of one zone Python counts by the wall."""
    return timedelta(seconds=later.timestamp() - earlier.timestamp())


async def replay(console: Console, play: Play, world: RosterWorld) -> bool:
    """Send day after day, then settle and show; True if everything is as the files say."""
    play.expected += world.expected
    begun: list[float] = []
    answers: list[dict[str, int]] = []
    wrong: list[str] = []
    for index, day in enumerate(world.days):
        await play.lodge(world.lodged.get(index, []))
        begun.append(time.time())
        at = day.at.strftime("%Y-%m-%dT%H:%M:%S")
        answer = await play.sender.roster(_JAIL.source, _JAIL.code, at, day.raw)
        answers.append(answer)
        told = (answer["booked"], answer["inferred_released"], answer["voided"])
        if told != (day.booked, day.released, day.back):
            wrong.append(f"{day.at:%d %b}: {told}, where the files say {(day.booked, day.released, day.back)}")
        console.print(
            f"{day.at:%Y-%m-%d}  booked {told[0]:>5}  inferred released {told[1]:>4}  back {told[2]:>3}"
            f"{'  (stale)' if answer.get('stale') else ''}",
            highlight=False,
        )
    verdict = await play.settle(_SETTLE_S)
    verdict.extra += wrong
    _table(console, play, world, begun, answers, verdict.first_arrivals)
    report.show(
        console, play.sender.sent, verdict, play.latencies(verdict),
        commands_first=play.sender.sent.commands, repeated=0,
    )  # fmt: skip
    totals = [sum(answer[name] for answer in answers) for name in ("booked", "inferred_released", "voided")]
    left = totals[0] - totals[1] + totals[2]
    console.print(
        f"booked {totals[0]:,} - inferred released {totals[1]:,} + back {totals[2]:,} = {left:,}; "
        f"the last file holds {len(world.days[-1].present):,}",
        highlight=False,
    )
    return verdict.holds and left == len(world.days[-1].present)


def _table(
    console: Console,
    play: Play,
    world: RosterWorld,
    begun: list[float],
    answers: list[dict[str, int]],
    arrived: dict[tuple[str, int], float],
) -> None:
    """By day: what the file led to. A version belongs to the file that was sent last before its cause was taken."""
    versions: Counter[int] = Counter()
    notices: Counter[int] = Counter()
    for conflict in play.observer.conflicts:
        at = conflict.cause.accepted_at.timestamp()
        which = max((index for index, begin in enumerate(begun) if begin <= at), default=0)
        versions[which] += 1
        notices[which] += (conflict.conflict_id, conflict.version) in arrived
    table = Table(title="By roster file", title_justify="left")
    for name in ("day", "rows", "booked", "inferred released", "back", "conflict versions", "notices"):
        table.add_column(name, justify="right")
    for index, (day, answer) in enumerate(zip(world.days, answers, strict=True)):
        table.add_row(
            f"{day.at:%Y-%m-%d}", f"{answer['rows']:,}", f"{answer['booked']:,}", f"{answer['inferred_released']:,}",
            f"{answer['voided']:,}", f"{versions[index]:,}", f"{notices[index]:,}",
        )  # fmt: skip
    console.print(table)
