"""20,000 events through the containers, truth known, while a broker, a matcher and the notifier are killed, and then
every service and every broker is replaced: nothing is lost, and nothing is said that is not so (G1, G3, G4)."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from deploy.cluster.control import Cluster
from deploy.demo.chaos import Chaos, Trouble, play_in_trouble
from deploy.demo.play import Play
from deploy.demo.world.generate import generate
from tests.e2e.containers import Containers, Handling, unaccounted
from tests.e2e.seen import ContainerReader

EVENTS = int(os.environ.get("SALLYPORT_E2E_EVENTS", "20000"))
PER_SECOND = float(os.environ.get("SALLYPORT_E2E_RATE", "60"))
OURS = ("ingest", "matcher-1", "matcher-2", "notifier")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
_ANSWER_AFTER_S = 1.5
"""Endpoints that answer at once have nothing under way when the notifier is killed; of these, a dozen webhooks are."""


def _troubles(handling: Handling) -> list[Trouble]:
    def trouble(share: float, what: str, service: str) -> Trouble:
        make = {"killed": handling.kill, "started": handling.start, "replaced": handling.replace}[what]
        return Trouble(share, f"{service} {what}", partial(make, service))

    kills = [
        trouble(0.10, "killed", "kafka-2"),
        trouble(0.20, "started", "kafka-2"),
        trouble(0.30, "killed", "matcher-1"),
        trouble(0.40, "started", "matcher-1"),
        trouble(0.45, "killed", "notifier"),
        trouble(0.50, "started", "notifier"),
    ]
    rolling = [trouble(0.55 + 0.05 * index, "replaced", service) for index, service in enumerate((*OURS, *BROKERS))]
    return [*kills, *rolling]


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_while_containers_die_and_are_replaced(cluster: Cluster, tmp_path: Path) -> None:
    world = generate(77, EVENTS)
    with (
        Containers(cluster, tmp_path, answer_after_s=_ANSWER_AFTER_S) as access,
        ContainerReader(cluster, tmp_path) as seen,
    ):
        play = Play(access, seen, sender_deadline_s=240)
        troubles = _troubles(Handling(cluster))
        chaos = await play_in_trouble(play, world, troubles, per_second=PER_SECOND, settle_s=300)
        _tell(play, chaos)
        assert sum(chaos.made.values()) == len(troubles)
        assert (chaos.verdict.missing, chaos.verdict.extra) == ([], [])
        assert chaos.unrecorded == []
        assert await asyncio.to_thread(unaccounted, access) == []
        assert chaos.verdict.repeats, "nothing was under way when the notifier was killed: this proves too little"
        assert play.sender.sent.again > 0, "ingest was away for a while, and its senders came again"


def _tell(play: Play, chaos: Chaos) -> None:
    """For whoever looks on (pytest -s, which `make test-e2e` uses): figures, no person."""
    sent, verdict = play.sender.sent, chaos.verdict
    print(f"\nsent: {sent.events:,} events, {sent.commands:,} commands; {sent.again:,} requests came again")
    print(f"in {sent.took_s:.0f} s: {', '.join(chaos.made)}")
    print(
        f"conflict versions: {len(play.observer.conflicts):,}; lost {len(verdict.missing)}, extra {len(verdict.extra)}"
    )
    print(f"webhooks: {verdict.webhooks:,}, of them again: {sum(verdict.repeats.values()):,}")
    print(f"  of notices whose ledger does not have them all: {len(chaos.unrecorded)}")
