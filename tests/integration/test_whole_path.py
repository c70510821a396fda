"""The whole path, as processes: what jails and agencies send over HTTP comes out as signed webhooks and e-mails, just
what the script of the synthetic people says and nothing else; and no person shows where none may (G8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.catalog import load_topics
from contracts.types.conflict import Stage
from deploy.demo.hartford import Told, play_hartford
from deploy.demo.judge import Verdict
from deploy.demo.observe import Observer, read_whole
from deploy.demo.play import Play
from deploy.demo.system import System
from deploy.demo.world.generate import World, generate
from deploy.devstack.stack import StackInfo
from tests.integration.support.privacy import found_in, places_of_records, secrets_of

pytestmark = pytest.mark.timeout(500)


@dataclass(frozen=True)
class Run:
    """What one run left behind, its services still up."""

    world: World
    system: System
    play: Play
    told: list[Told]
    verdict: Verdict


@pytest.fixture
async def run(topics: StackInfo, database_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    stack = StackInfo(topics.kafka_bootstrap_servers, database_url)
    world = generate(31, 700, disorder=0.2, repeats=0.05)
    with System(stack, tmp_path / "run") as system, Observer(stack.kafka_bootstrap_servers) as observer:
        play = Play(system, observer)
        told = await play_hartford(play, world.population)
        play.expected += world.expected
        await play.lodge(world.lodged)
        await play.stream(world.stream, 150)
        verdict = await play.settle(180)
        yield Run(world, system, play, told, verdict)


async def test_the_truth_holds_for_every_agency_and_no_person_shows(run: Run) -> None:
    """One run for all of it: it takes half a minute on two cores."""
    verdict, world, system = run.verdict, run.world, run.system
    assert (verdict.missing, verdict.extra) == ([], [])
    assert verdict.webhooks > len({e.conflict_id for e in world.expected if e.is_told}) * 0.8
    assert verdict.emails > 0
    assert run.play.sender.sent.events >= world.events

    # The Hartford case: each step told as it happened, closed after 62 days.
    assert [one.conflict.stage for one in run.told if one.conflict is not None] == [
        Stage.IN_CUSTODY,
        Stage.RELEASE_SCHEDULED,
        Stage.RELEASED,
        Stage.CLOSED,
    ]
    closed = run.told[-1].conflict
    assert closed is not None
    assert closed.time_to_custody_s == 62 * 86_400

    # An agency sees its own notices, all of them, and nothing else.
    by_agency = {office.code: system.notices(office.code) for office in system.agencies}
    assert sum(len(notices) for notices in by_agency.values()) >= len(verdict.first_arrivals)
    for agency, notices in by_agency.items():
        assert {notice["notice"]["data"]["recipient"] for notice in notices} <= {agency}
        assert {notice["status"] for notice in notices} <= {"delivered", "superseded", "no_subscription"}

    # Every service is alive and ready after the run.
    for service in system.services:
        service.wait_ready()
        assert service.get("/livez")[0] == 200

    # G8: logs, metrics, e-mails, and keys and headers of every topic name nobody.
    secrets = secrets_of(world)
    assert len(secrets) > 1000
    for process in system.group.processes:
        assert process.log_text() or process is system.outside
        assert found_in(process.log_text(), secrets) == [], process.name
    for service in system.services:
        assert found_in(service.get("/metrics")[1], secrets) == [], service.name
    mails = "\n".join(f"{a.to} {a.id} {a.text}" for a in system.arrivals() if a.channel == "email")
    assert mails
    assert found_in(mails, secrets) == []
    records = read_whole(system.stack.kafka_bootstrap_servers, list(load_topics()))
    assert {"custody.events.v1", "detainers.v1", "conflicts.v1", "reviews.v1", "notices.v1", "custody.state.v1"} <= {
        record.topic for record in records
    }
    assert found_in("\n".join(places_of_records(records)), secrets) == []
    # The values are where a person may be; so the search does find one that is there.
    assert found_in("\n".join(r.value.decode() for r in records if r.topic == "custody.events.v1"), secrets)
