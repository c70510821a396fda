"""Where a person decides, as processes on a real Kafka and PostgreSQL: a reviewer on a hit that is only possible, an
operator on a feed that releases too many. From the request at one end to the webhook at the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.ids import conflict_id, detainer_id, episode_id
from contracts.types.conflict import Conflict, Decision, RetractionReason, Stage
from contracts.types.custody import Booked, CustodyEvent, Released
from contracts.types.detainer import DetainerType, Intent, Lodge
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName
from contracts.types.registry import Source
from deploy.demo.access import ApiError, call
from deploy.demo.observe import read_whole
from deploy.demo.system import System
from deploy.demo.world.places import HARTFORD, ICE_BOSTON
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from services.platform.registry import hash_key, new_key
from tests.integration.support.metrics import total
from tests.integration.support.posting import post_until_taken
from tests.support.kafka import fresh_topics

pytestmark = pytest.mark.timeout(500)
AGENCY, JAIL = ICE_BOSTON.code, HARTFORD.code
NOW = datetime.now(UTC).replace(microsecond=0)
REVIEWER_KEY = new_key()
REVIEWER = Source(id="console", key_sha256=[hash_key(REVIEWER_KEY)], reviewer=True)
PEOPLE = 30
STRUCTURED = "application/cloudevents+json"


@pytest.fixture
def system(stack: StackInfo, database_url: str, tmp_path: Path) -> Iterator[System]:
    fresh_topics(stack.kafka_bootstrap_servers)
    stack = StackInfo(stack.kafka_bootstrap_servers, database_url)
    settings = {"SALLYPORT_BREAKER_AT_LEAST": "6", "SALLYPORT_BREAKER_SHARE": "0.3"}
    with System(stack, tmp_path / "run", extra=[REVIEWER], settings=settings) as running:
        yield running


def _who(number: int, *, numbered: bool) -> Person:
    tens, ones = ("abcdefghij"[digit] for digit in divmod(number, 10))
    sid = Identifier(kind=IdentifierKind.SID, value=f"77{number:05}", issuer="CT")
    return Person(
        names=[PersonName(surname=f"Wintergreen{tens}", given=f"Halloran{ones}")],
        birth_dates=[f"19{60 + number}-05-06"],
        identifiers=[sid] if numbered else [],
    )


def _send(system: System, number: int, event: CustodyEvent) -> None:
    body = {
        "specversion": "1.0",
        "id": f"{event.__struct_config__.tag}-{number}",
        "source": HARTFORD.source,
        "type": f"sallyport.custody.{event.__struct_config__.tag}.v1",
        "datacontenttype": "application/json",
        "data": msgspec.to_builtins(event),
    }
    post_until_taken(f"{system.ingest.url}/v1/events", system.keys[HARTFORD.source], body, STRUCTURED)


def _book(system: System, number: int, who: Person) -> None:
    booked = Booked(facility=JAIL, booking_number=f"B-{number}", occurred_at=NOW - timedelta(days=2), person=who)
    _send(system, number, booked)


def _release(system: System, number: int) -> None:
    _send(system, number, Released(facility=JAIL, booking_number=f"B-{number}", occurred_at=NOW))


def _lodge(system: System, number: int, who: Person) -> None:
    lodge = Lodge(
        agency=AGENCY,
        agency_reference=f"A-{number}",
        occurred_at=NOW - timedelta(days=5),
        type=DetainerType.IMMIGRATION,
        intent=Intent.NOTIFY_ONLY,
        person=who,
    )
    post_until_taken(f"{system.ingest.url}/v1/detainers", system.agency_key(AGENCY), msgspec.to_builtins(lodge))


def _conflicts(system: System) -> dict[str, list[Conflict]]:
    """conflict id -> its versions, as a committed reader has them."""
    found: dict[str, list[Conflict]] = {}
    for record in read_whole(system.stack.kafka_bootstrap_servers, ["conflicts.v1"]):
        conflict = msgspec.json.decode(record.value or b"", type=Conflict)
        found.setdefault(conflict.conflict_id, []).append(conflict)
    return found


def _stages(system: System) -> dict[str, Stage]:
    return {versions[-1].episode.booking_number: versions[-1].stage for versions in _conflicts(system).values()}


def _webhooks(system: System) -> list[dict[str, Any]]:
    """What reached the agency, in order, its signature verified."""
    bodies = [msgspec.json.decode(a.body) for a in system.arrivals() if a.channel == "webhook" and a.verified]
    return [body["data"] for body in bodies]


def _decide(system: System, review: dict[str, Any], decision: Decision, key: str = REVIEWER_KEY) -> Any:
    url = f"{system.notifier.url}/v1/reviews/{review['review_id']}/decision"
    said = {"version": review["version"], "decision": decision, "reason": "photographs compared", "reviewer": "r.alder"}
    return call("POST", url, key, said)


def _reviews(system: System, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call("GET", f"{system.notifier.url}/v1/reviews?status={status}", REVIEWER_KEY)[
        "reviews"
    ]
    return found


def test_a_reviewer_confirms_then_rejects(system: System) -> None:
    who = _who(1, numbered=False)
    _lodge(system, 1, who)
    _book(system, 1, who)
    assert wait_until(lambda: len(_reviews(system, "open")) == 1, seconds=60)
    (review,) = _reviews(system, "open")
    assert not _conflicts(system), "nobody is told of what is only possible"

    with pytest.raises(ApiError) as refused:
        _decide(system, review, Decision.CONFIRM, system.agency_key(AGENCY))
    assert refused.value.status == 403

    _decide(system, review, Decision.CONFIRM)
    assert wait_until(lambda: len(_webhooks(system)) == 1, seconds=60)
    (told,) = _webhooks(system)
    assert (told["stage"], told["identity"]["tier"], told["identity"]["reviewed"]) == (
        "in_custody",
        "PROBABLE",
        "confirm",
    )
    assert "r.alder" not in msgspec.json.encode(told).decode(), "who decided is nothing to the agency"

    assert wait_until(lambda: len(_reviews(system, "confirmed")) == 1, seconds=60)
    with pytest.raises(ApiError) as stale:
        _decide(system, review, Decision.REJECT)
    assert stale.value.status == 409
    _decide(system, _reviews(system, "confirmed")[0], Decision.REJECT)
    assert wait_until(lambda: len(_webhooks(system)) == 2, seconds=60)
    assert (_webhooks(system)[-1]["stage"], _webhooks(system)[-1]["retraction"]) == ("retracted", "identity_rejected")

    # What is buried stays buried: a restart of the matcher, a release, and nothing more is said.
    system.matcher.kill()
    system.matcher.start()
    system.matcher.wait_ready()
    _release(system, 1)
    _book(system, 2, _who(2, numbered=True))
    _lodge(system, 2, _who(2, numbered=True))
    assert wait_until(lambda: _stages(system).get("B-2") is Stage.IN_CUSTODY, seconds=60)
    # Since its restart: the release too, which may lie on another partition.
    assert wait_until(lambda: total(system.matcher, 'sallyport_matcher_inputs_total{kind="custody"}') >= 2, seconds=60)
    name = conflict_id(detainer_id(AGENCY, "A-1"), episode_id(JAIL, "B-1"))
    assert [c.stage for c in _conflicts(system)[name]] == [Stage.IN_CUSTODY, Stage.RETRACTED]
    assert _conflicts(system)[name][-1].retraction is RetractionReason.IDENTITY_REJECTED


def _mass_release(system: System) -> None:
    """Thirty people, a detainer on each, all released within a minute. The breaker trips on the tenth (three in ten may
    leave); it is waited for after the twelfth, so that those who were told before are twelve at most."""
    for number in range(PEOPLE):
        _lodge(system, number, _who(number, numbered=True))
        _book(system, number, _who(number, numbered=True))
    assert wait_until(lambda: len(_stages(system)) == PEOPLE, seconds=60), _stages(system)
    for number in range(12):
        _release(system, number)
    assert wait_until(lambda: len(_breakers(system)) == 1, seconds=60)
    for number in range(12, PEOPLE):
        _release(system, number)


def _breakers(system: System) -> list[Breaker]:
    records = read_whole(system.stack.kafka_bootstrap_servers, ["breakers.v1"])
    return [msgspec.json.decode(record.value or b"", type=Breaker) for record in records]


def _held(system: System) -> float:
    """How many conflicts wait, by the matcher's own account."""
    return total(system.matcher, "sallyport_matcher_conflicts_held{")


def _released(system: System) -> int:
    return sum(stage is Stage.RELEASED for stage in _stages(system).values())


@pytest.mark.parametrize("decision", ["release", "discard"])
def test_an_operator_decides_on_a_mass_release(system: System, decision: str) -> None:
    _mass_release(system)
    (tripped,) = _breakers(system)
    assert tripped.state is BreakerState.TRIPPED
    assert tripped.population == PEOPLE
    assert _released(system) <= 12, "what came after it tripped waits"
    assert wait_until(lambda: _held(system) == PEOPLE - _released(system), seconds=60), (_held(system), _stages(system))
    listed = system.group.run(["breaker", "list"], system.stack.environ())
    assert JAIL in listed

    # What waits, waits through a restart too.
    system.matcher.kill()
    system.matcher.start()
    system.matcher.wait_ready()
    system.group.run(
        ["breaker", decision, JAIL, "--by", "duty officer", "--reason", "asked the jail"], system.stack.environ()
    )
    wanted = Stage.RELEASED if decision == "release" else Stage.IN_CUSTODY
    everybody = {f"B-{number}": wanted for number in range(PEOPLE)}
    assert wait_until(lambda: _stages(system) == everybody, seconds=60), _stages(system)
    assert [b.state for b in _breakers(system)] == [
        BreakerState.TRIPPED,
        BreakerState.RELEASED if decision == "release" else BreakerState.DISCARDED,
    ]
    for versions in _conflicts(system).values():
        assert [c.version for c in versions] == list(range(1, len(versions) + 1))
        releases = [c for c in versions if c.stage is Stage.RELEASED]
        assert len(releases) <= 1, "a release is told once, held back or not"
