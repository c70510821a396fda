"""kill -9 of each service in turn amid a run: nothing accepted is lost (G1), each conflict version is there once (G3),
each notice arrives at least once and every repeat is in the ledger (G4). `deploy.demo.chaos` goes on for longer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from deploy.demo.chaos import ANSWER_AFTER_S, FAST, kills, play_in_trouble
from deploy.demo.observe import Observer, read_whole
from deploy.demo.play import Play
from deploy.demo.system import System
from deploy.demo.world.generate import generate
from deploy.devstack.stack import StackInfo

pytestmark = pytest.mark.timeout(600)
KILLS_EACH = 2


async def test_nothing_lost_and_nothing_said_twice(topics: StackInfo, database_url: str, tmp_path: Path) -> None:
    stack = StackInfo(topics.kafka_bootstrap_servers, database_url)
    world = generate(41, 1500)
    with (
        System(stack, tmp_path / "run", settings=FAST, answer_after_s=ANSWER_AFTER_S) as system,
        Observer(stack.kafka_bootstrap_servers) as observer,
    ):
        play = Play(system, observer, sender_deadline_s=90)
        troubles = kills(system.services, KILLS_EACH, random.Random(41))
        chaos = await play_in_trouble(play, world, troubles, per_second=100, settle_s=240)
        assert [service.starts for service in system.services] == [KILLS_EACH + 1] * 3
        for service in system.services:
            assert [event["event"] for event in service.log_events()].count("started") == service.starts, service.name
        assert (chaos.verdict.missing, chaos.verdict.extra) == ([], [])
        assert chaos.unrecorded == []
        assert chaos.verdict.webhooks == len(chaos.verdict.first_arrivals) + sum(chaos.verdict.repeats.values())
        assert play.sender.sent.again > 0, "ingest was away for a while, and its senders came again"
        # Nothing that was accepted was refused later, on the way (G1).
        assert [r.value for r in read_whole(stack.kafka_bootstrap_servers, ["rejects.v1"])] == []
