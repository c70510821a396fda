"""Histories: the same everywhere, plain to the real engine and to ingest, and rich in what they are for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import get_args

import msgspec
import pytest

from contracts.types.common import Tier
from contracts.types.conflict import Alert, Decision, RetractionReason, ReviewDecision, Stage
from contracts.types.custody import CustodyEvent, Voided
from contracts.types.detainer import DetainerCommand, DetainerState
from contracts.types.feed import BreakerState
from contracts.types.person import Person
from services.ingest.domain.events import Envelope, accept, type_of
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model
from tests.simulation.history import History, generate, same_person
from tests.simulation.truth import Pair, Said, truth
from tests.simulation.truth_episode import people_ever

SEEDS = range(500)
ENGINE = WeighedEngine(load_model())


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [generate(seed) for seed in SEEDS]


def everything(history: History) -> str:
    sends = [(s.at, s.source, s.event_id, msgspec.json.encode(s.content).decode()) for s in history.sends]
    return repr((history.describe(), sends, history.operator, history.opinions("det_a", "epi_b", "c")))


def test_the_same_in_every_process() -> None:
    code = (
        "from tests.unit.simulation_model.test_history import everything, generate; from hashlib import sha256;"
        "print(sha256(''.join(everything(generate(s)) for s in range(20)).encode()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
    assert everything(generate(1)) != everything(generate(2))


def test_small_and_within_the_times_that_are_promised(histories: list[History]) -> None:
    sizes = sorted(len(h.sends) for h in histories)
    assert 10 <= sizes[len(sizes) // 4] <= sizes[len(sizes) * 3 // 4] <= 40
    assert sizes[-1] <= 130  # a jail of two dozen, a detainer on each, that releases everybody
    for history in histories:
        last = history.moments[-1]
        assert list(history.moments) == sorted(history.moments)
        for send in history.sends:
            assert send.at >= 0
            assert send.content.occurred_at <= history.start
            # Nothing may be put away before the last moment, 90 days after the end of custody.
            if send.custody is not None:
                assert last - send.content.occurred_at < timedelta(days=89)
            ahead = (getattr(send.content, name, None) for name in ("expires_at", "scheduled_for"))
            assert all(instant is None or instant < last - timedelta(days=14) for instant in ahead)


def test_ingest_takes_every_custody_event(histories: list[History]) -> None:
    for history in histories[:100]:
        for said in history.said():
            kind = type_of(str(said.event.__struct_config__.tag))
            data = msgspec.Raw(msgspec.json.encode(said.event))
            envelope = Envelope(specversion="1.0", id=said.event_id, source=said.source, type=kind, data=data)
            accepted = accept(envelope, said.source, said.accepted_at, timedelta(0))
            assert msgspec.json.encode(accepted.event) == msgspec.json.encode(said.event)


def test_the_newest_of_one_id_is_never_a_matter_of_taste(histories: list[History]) -> None:
    """Two contents of one id never share occurred_at and sequence; nor do two versions of a detainer."""
    for history in histories:
        contents: dict[object, object] = {}
        for said in history.said():
            assert contents.setdefault((said.episode_id, *said.order), said.event) == said.event
        versions: dict[object, object] = {}
        for d in history.detainers():
            assert versions.setdefault((d.detainer_id, d.occurred_at, d.sequence), d) == d


def held_and_wanted(history: History) -> tuple[list[Person], list[Person]]:
    """Every person that some part of the facts describes, and every version of those wanted."""
    episodes: dict[str, list[Said]] = {}
    for said in history.said():
        episodes.setdefault(said.episode_id, []).append(said)
    held = [person for facts in episodes.values() for person in people_ever(facts)]
    return held, [d.person for d in history.detainers()]


def test_the_real_engine_agrees_on_who_is_who() -> None:
    tiers: Counter[Tier] = Counter()
    for seed in range(200):
        held, wanted = held_and_wanted(generate(seed))
        index = ENGINE.new_index()
        for number, person in enumerate(held):
            index.put(str(number), ENGINE.prepare(person))
        for person in wanted:
            found = {c.record_id: c.identity.tier for c in index.search(ENGINE.prepare(person))}
            for number, other in enumerate(held):
                tier = same_person(other, person)
                assert found.get(str(number), Tier.NONE) is tier, (seed, other, person)
                tiers[tier] += 1
    assert set(tiers) == set(Tier)


def test_the_reviewer_says_the_same_of_the_same_evidence() -> None:
    history = generate(5)
    said = Counter(tuple(o.decision for o in history.opinions("det", "epi", str(evidence))) for evidence in range(300))
    assert set(said) == {
        (), (Decision.CONFIRM,), (Decision.REJECT,), (Decision.CONFIRM, Decision.REJECT),
        (Decision.REJECT, Decision.CONFIRM),
    }  # fmt: skip
    assert history.opinions("det", "epi", "7") == generate(5).opinions("det", "epi", "7")


def reviewed(history: History, pairs: Iterator[Pair]) -> list[ReviewDecision]:
    """What the reviewer says of every pair, on one evidence."""
    return [
        ReviewDecision(
            decision_id=f"dec_{number:a>24}",
            review_id="rev_" + "a" * 24,
            version=1,
            evidence_id="e",
            detainer_id=pair[0],
            episode_id=pair[1],
            decision=opinion.decision,
            reason=opinion.reason,
            reviewer=opinion.reviewer,
            decided_at=history.start + timedelta(seconds=opinion.delay_s),
        )
        for pair in pairs
        for number, opinion in enumerate(history.opinions(*pair, "e"))
    ]


def test_every_kind_of_thing_happens(histories: list[History]) -> None:
    """Each custody event, command, stage, tier, alert and reason, in at least one history of a hundred."""
    seen: Counter[object] = Counter()
    for history in histories:
        facts, detainers = history.said(), history.detainers()
        here: set[object] = {type(send.content) for send in history.sends}
        here |= {d.state for d in detainers}
        ids = Counter((s.source, s.event_id) for s in facts)
        here |= {"repeated"} if max(ids.values()) > 1 else set()
        here |= {"corrected"} if len(ids) < len({(s.source, s.event_id, repr(s.event)) for s in facts}) else set()
        voids = {s.event_id for s in facts if isinstance(s.event, Voided)}
        here |= {"void of a void" for s in facts if isinstance(s.event, Voided) and s.event.voids_event in voids}
        here |= {"mass", history.operator} if history.mass_release_at else set()
        pairs = product({d.detainer_id for d in detainers}, {s.episode_id for s in facts})
        decisions = reviewed(history, pairs)
        for moment in history.moments:
            found = truth(
                facts, detainers, decisions, [],
                same_person=same_person, now=moment, zones=history.zones, evidence_of=lambda *_: "e",
            )  # fmt: skip
            here |= {*found.gone.values()}
            here |= {"review" for _ in found.reviews}
            for told in found.conflicts.values():
                here |= {told.stage, told.tier, told.closed_because, *told.alerts}
                here |= {name for name in ("inferred", "inferred_stands", "escaped", "reviewed") if getattr(told, name)}
        seen.update(here)
    never_drawn = {DetainerState.RECEIVED, DetainerState.EXPIRED, DetainerState.CLOSED}  # no command leads there
    wanted = {
        *get_args(CustodyEvent), *get_args(DetainerCommand), *DetainerState, *Stage, *Alert, *RetractionReason,
        *(BreakerState.RELEASED, BreakerState.DISCARDED, Tier.CONFIRMED, Tier.PROBABLE),
        *("repeated", "corrected", "void of a void", "mass", "review", "inferred", "inferred_stands", "escaped"),
        *("reviewed", "handed_over", "custody_assumed", "died"),
    } - never_drawn - {Stage.RETRACTED, RetractionReason.DETAINER_ENDED}  # fmt: skip
    rare = {str(thing): seen[thing] for thing in wanted if seen[thing] < len(SEEDS) / 100}
    assert not rare


def test_the_truth_is_one_whatever_the_order(histories: list[History]) -> None:
    """G2 holds of the model itself; and what stands in the end may have been told."""
    for history in histories[:150]:
        facts, detainers = history.said(), history.detainers()
        decisions = reviewed(history, product({d.detainer_id for d in detainers}, {s.episode_id for s in facts}))
        answers = []
        for salt in range(3):
            for inputs in (facts, detainers, decisions):
                random.Random(f"{history.seed} {salt}").shuffle(inputs)
            found = truth(
                facts, detainers, decisions, [],
                same_person=same_person, now=history.moments[2], zones=history.zones, evidence_of=lambda *_: "e",
            )  # fmt: skip
            assert all(found.ever_notifiable(pair) for pair in found.conflicts)
            answers.append((found.conflicts, found.gone, found.reviews))
        assert answers[0] == answers[1] == answers[2], history.describe()
