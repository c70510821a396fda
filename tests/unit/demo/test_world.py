"""The synthetic world: the same from the same seed, made up throughout, and its truth is what the domain says too.

The truth comes from the script of each life; the matcher's fold and ingest's decisions are asked here only, to see
that the two agree before three processes, Kafka and HTTP come in between.
"""

from __future__ import annotations

import msgspec
import pytest

from contracts.ids import conflict_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import Conflict, Review, ReviewStatus, Stage
from contracts.types.custody import CustodyEvent
from contracts.types.detainer import DetainerCommand
from deploy.demo.world.generate import World, generate
from deploy.demo.world.places import AGENCIES, PLACES, credentials
from deploy.demo.world.plots import PLOTS
from tests.unit.demo.support import NOW, fold


def folded(world: World) -> tuple[dict[str, Conflict], dict[str, Review]]:
    """The newest version of each conflict and review, by the services' own domain code in one process."""
    out = fold(world)
    return {c.conflict_id: c for c in out.conflicts}, {r.review_id: r for r in out.reviews}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_truth_of_the_script_is_the_truth_of_the_domain(seed: int) -> None:
    world = generate(seed, 1500, now=NOW, disorder=0.3, repeats=0.1)
    conflicts, reviews = folded(world)
    for expected in world.expected:
        conflict = conflicts.pop(conflict_id(expected.detainer_id, expected.episode_id), None)
        review = reviews.pop(review_id(expected.detainer_id, expected.episode_id), None)
        if expected.is_told:
            assert conflict is not None, expected
            assert (conflict.stage, conflict.identity.tier) == (expected.stage, expected.tier), expected
            assert conflict.closed_because == expected.closed_because, expected
            if expected.status is not None:
                assert conflict.episode.custody_status is expected.status, expected
            if expected.time_to_custody_s is not None:
                assert conflict.time_to_custody_s == pytest.approx(expected.time_to_custody_s), expected
        else:
            assert conflict is None or conflict.stage is Stage.RETRACTED, expected
        assert (review is not None and review.status is ReviewStatus.OPEN) == expected.is_asked, expected
        if review is not None and expected.is_asked:
            assert review.stage is expected.stage, expected
    assert not conflicts
    assert not reviews


def test_every_plot_is_played_and_strangers_are_many() -> None:
    world = generate(5, 3000, now=NOW)
    assert {e.plot for e in world.expected} == {plot.__name__ for plot in PLOTS}
    assert {e.tier for e in world.expected} == {Tier.CONFIRMED, Tier.PROBABLE, Tier.POSSIBLE}
    assert world.people > 2 * world.detained
    assert 2900 <= world.events <= 3150
    assert world.repeated > 0


def test_the_same_seed_gives_the_same_world() -> None:
    first, again, other = (generate(seed, 400, now=NOW) for seed in (7, 7, 8))
    assert (first.lodged, first.stream, first.expected) == (again.lodged, again.stream, again.expected)
    assert first.stream != other.stream


def test_two_runs_share_no_number_and_no_event() -> None:
    first, second = generate(7, 400, now=NOW), generate(7, 400, now=NOW, run=1)
    assert not {p.event_id for p in first.stream if p.event_id} & {p.event_id for p in second.stream}
    assert not {h.ucn for h in first.population.everyone} & {h.ucn for h in second.population.everyone}
    assert not {e.conflict_id for e in first.expected} & {e.conflict_id for e in second.expected}


def test_no_two_people_share_a_name_or_a_number() -> None:
    everyone = generate(9, 3000, now=NOW).population.everyone
    assert len({h.surname for h in everyone}) == len({(h.given, h.born.year) for h in everyone}) == len(everyone)
    numbers = [n for h in everyone for n in (h.ucn, h.a_number, *h.sids.values(), *h.locals.values())]
    assert len(set(numbers)) == len(numbers)


def test_what_is_sent_is_what_the_contracts_say() -> None:
    world = generate(10, 800, now=NOW)
    for post in [*world.lodged, *world.stream]:
        raw = msgspec.json.encode(post.body)
        kind = CustodyEvent if post.event_id is not None else DetainerCommand
        assert msgspec.json.decode(raw, type=kind) == post.body
        assert post.at <= NOW
        assert post.body.occurred_at <= post.at


def test_the_registry_knows_hashes_only() -> None:
    made = credentials()
    raw = msgspec.json.encode(made.records).decode()
    assert len(made.keys) == len(PLACES) + len(AGENCIES)
    assert not any(key in raw for key in made.keys.values())
