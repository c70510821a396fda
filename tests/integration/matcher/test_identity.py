"""Who is it, on a real Kafka: the index of a running matcher as an operator searches it, and a change of its model."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import detainer_id, episode_id
from contracts.types.common import Tier
from contracts.types.conflict import Conflict, RetractionReason, Review, ReviewStatus, Stage
from contracts.types.custody import Booked
from contracts.types.detainer import Detainer
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from deploy.demo.access import ApiError, call
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from services.matcher.domain.identity.model import encode
from services.matcher.identity_model import load_model
from tests.integration.matcher.reading import committed
from tests.support.kafka import fresh_topics
from tests.support.plain import PLAIN
from tests.unit.matcher.people import AGENCY, BOOKING, FACILITY, detainer, person

pytestmark = pytest.mark.timeout(400)

TOKEN = "search-token-of-tests"
START = datetime(2026, 1, 1, tzinfo=UTC)
EPISODE = episode_id(FACILITY, BOOKING)
WHO = Person(
    names=[PersonName(surname="Umberquill", given="Halvessine")],
    birth_dates=["1984-07-19"],
    sex=Sex.FEMALE,
    identifiers=[Identifier(kind=IdentifierKind.SSN4, value="4821")],
)


@pytest.fixture
def bootstrap(stack: StackInfo) -> str:
    fresh_topics(stack.kafka_bootstrap_servers)
    return stack.kafka_bootstrap_servers


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as processes:
        yield processes


async def _send(bootstrap: str, detainers: Sequence[Detainer] = (), bookings: Sequence[Booked] = ()) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for detainer in detainers:
            await producer.send("detainers.v1", key=detainer.detainer_id.encode(), value=msgspec.json.encode(detainer))
        for event in bookings:
            headers = encode_headers(Attributes(f"ev-{event.booking_number}", "test-jms", "t", START, START))
            key = episode_id(event.facility, event.booking_number).encode()
            await producer.send("custody.events.v1", key=key, value=msgspec.json.encode(event), headers=headers)
    finally:
        await producer.stop()


def _booked() -> Booked:
    return Booked(facility=FACILITY, booking_number=BOOKING, occurred_at=START, person=WHO)


def _matcher(group: ProcessGroup, stack: StackInfo, name: str = "matcher", **settings: str) -> ServiceProcess:
    matcher = group.service("matcher", {**stack.environ(), "SALLYPORT_PROGRESS_FLUSH_S": "1", **settings}, name=name)
    matcher.start()
    matcher.wait_ready()
    return matcher


def _search(matcher: ServiceProcess, token: str = TOKEN) -> list[tuple[str, str, str]]:
    """(side, record id, tier) of what the matcher finds of WHO."""
    found = call("POST", f"{matcher.url}/v1/identity/search", token, WHO)
    return [(hit["side"], hit["record_id"], hit["tier"]) for hit in found["candidates"]]


async def test_an_operator_searches_a_running_matcher(
    bootstrap: str, stack: StackInfo, group: ProcessGroup, tmp_path: Path
) -> None:
    matcher = _matcher(group, stack, SALLYPORT_IDENTITY_SEARCH_TOKEN=TOKEN)
    assert _search(matcher) == []
    one, other = detainer_id(AGENCY, "D-1"), detainer_id(AGENCY, "D-2")
    typo = msgspec.structs.replace(WHO, names=[PersonName(surname="Umberqiull", given="Halvessine")])
    await _send(bootstrap, [detainer(0, who=WHO), detainer(0, who=typo, reference="D-2")], [_booked()])
    everything = {("detainer", one, "PROBABLE"), ("detainer", other, "PROBABLE"), ("episode", EPISODE, "PROBABLE")}
    assert wait_until(lambda: set(_search(matcher)) == everything, seconds=60), _search(matcher)

    # As the operator does it; no name comes back, and none is in the matcher's log (G8).
    who = tmp_path / "who.json"
    who.write_bytes(msgspec.json.encode(WHO))
    environment = {
        **os.environ, "SALLYPORT_MATCHER_URL": matcher.url, "SALLYPORT_IDENTITY_SEARCH_TOKEN": TOKEN, "COLUMNS": "200"
    }  # fmt: skip
    command = [sys.executable, "-m", "services.platform.cli", "identity", "search", str(who)]
    ran = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    shown = ran.stdout
    assert one in shown
    assert EPISODE in shown
    for text in (shown, matcher.log_text()):
        assert not [secret for secret in ("umberq", "halvessine", "1984-07-19") if secret in text.casefold()]

    # Amended: it is lodged on somebody else, and this person is met by it no more.
    await _send(bootstrap, [detainer(0, changed=1, who=person("Ottermole", "Vashti", "1971-12-01"))])
    assert wait_until(lambda: set(_search(matcher)) == everything - {("detainer", one, "PROBABLE")}, seconds=60)

    for token in ("", "another"):
        with pytest.raises(ApiError) as refused:
            _search(matcher, token)
        assert refused.value.status == 401
    metrics = matcher.get("/metrics")[1]
    assert 'sallyport_matcher_identity_candidates_total{tier="PROBABLE"}' in metrics
    assert matcher.terminate() == 0


async def test_without_a_token_nobody_searches(bootstrap: str, stack: StackInfo, group: ProcessGroup) -> None:
    matcher = _matcher(group, stack)
    for token in ("", TOKEN):
        with pytest.raises(ApiError) as refused:
            _search(matcher, token)
        assert refused.value.status == 403
        assert "identity_search_off" in str(refused.value)


async def test_another_model_takes_effect_at_a_restart(
    bootstrap: str, stack: StackInfo, group: ProcessGroup, tmp_path: Path
) -> None:
    """ADR 11: what the old model told is taken back by the new one, and comes again when that goes."""
    strict = tmp_path / "strict.json"
    strict.write_bytes(encode(msgspec.structs.replace(load_model(), version="strict", probable=1.0)))
    await _send(bootstrap, [detainer(0, who=WHO)], [_booked()])

    def versions() -> list[tuple[int, Stage]]:
        return [(c.version, c.stage) for c in conflicts()]

    def conflicts() -> list[Conflict]:
        return [msgspec.json.decode(raw, type=Conflict) for raw in committed(bootstrap)]

    told: list[tuple[int, Stage]] = []
    for name, model, stage in (
        ("first", None, Stage.IN_CUSTODY),
        ("strict", strict, Stage.RETRACTED),
        ("again", strict, None),
        ("back", None, Stage.IN_CUSTODY),
    ):
        matcher = _matcher(group, stack, name, **({"SALLYPORT_IDENTITY_MODEL": str(model)} if model else {}))
        if stage is not None:
            told.append((len(told) + 1, stage))
        assert wait_until(lambda: versions() == told, seconds=60, every_s=0.3), (name, versions())
        assert matcher.terminate() == 0
        changed = [e for e in matcher.log_events() if e["event"] == "identity_model_changed"]
        assert len(changed) == (1 if name in ("strict", "back") else 0), name
    final = conflicts()
    assert [(c.version, c.stage) for c in final] == told
    assert final[1].retraction is RetractionReason.IDENTITY_CHANGED
    assert final[1].cause.kind == "identity_model"
    assert [c.identity.tier for c in final] == [Tier.PROBABLE, Tier.POSSIBLE, Tier.PROBABLE]
    reviews = [msgspec.json.decode(raw, type=Review) for raw in committed(bootstrap, "reviews.v1")]
    assert [r.status for r in reviews] == [ReviewStatus.OPEN, ReviewStatus.WITHDRAWN]


def test_a_broken_model_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"version": "1"}))
    ended = subprocess.run(
        [sys.executable, "-m", "services.platform.cli", "matcher"],
        env={**os.environ, **PLAIN, "SALLYPORT_IDENTITY_MODEL": str(broken)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("identity_model_unreadable: ")
    assert "Traceback" not in ended.stderr
