"""A state that is built from what was published, against the one that was lost."""

from __future__ import annotations

from hypothesis import given, settings

from contracts.types.conflict import Conflict, Decision, ReviewStatus, Stage
from contracts.types.custody import Booked, Released, ReleaseScheduled
from contracts.types.detainer import DetainerState
from contracts.types.notice import NoticeData
from services.matcher.adapters.changelog import encode_parts, load_episode
from services.matcher.adapters.rebuild import Known
from services.matcher.domain.decisions import DecisionBook
from services.matcher.domain.inputs import DetainerInput
from services.matcher.domain.partition import PartitionState
from services.matcher.domain.rebuilt import published
from services.notifier.domain.planning import plan
from tests.unit.matcher.histories import histories
from tests.unit.matcher.people import at, detainer, fact, person
from tests.unit.matcher.world import EPISODE, Given, World, decide


def rebuilt(lost: World, known: Known) -> World:
    """The same world with a state built anew; all is judged again, as lanes do whose progress has seen nothing."""
    again = World()
    again.ground, again.book, again.now, again._offset = lost.ground, lost.book, lost.now, lost._offset
    again.state = PartitionState(again.ground)
    for name, episode in lost.state.episodes.items():
        load_episode(again.state, name, encode_parts(episode, known.pairs(name)))
    for detainer_id in again.book.since({}):
        again.evolve(DetainerInput(detainer_id))
    return again.judge_again("").pass_time(0)


def all_of(world: World) -> Known:
    known = Known()
    for conflict in world.conflicts:
        known.told(published(conflict))
    for review in world.reviews:
        known.review(review)
    return known


@given(histories())
@settings(max_examples=300, deadline=None)
def test_nothing_is_published_again_and_versions_go_on(inputs: list[Given]) -> None:
    lost = World().take(*inputs).pass_time(0)
    again = rebuilt(lost, all_of(lost))
    assert again.conflicts == []
    # Of an open review only the stage is on its topic: it may come once more, under the next version.
    assert all(review.status is ReviewStatus.OPEN for review in again.reviews)
    assert again.final() == lost.final()
    for name, pairs in lost.state.pairs.items():
        found = again.state.pairs.get(name, {})
        assert {d: p.version for d, p in pairs.items() if p.version} == {
            d: p.version for d, p in found.items() if p.version
        }
        assert all(found[d].review_version >= p.review_version for d, p in pairs.items() if p.review_version)


def test_without_it_versions_begin_anew_and_say_something_else() -> None:
    """Why it is needed: the notifier takes version 2 of a conflict for the one that it knows."""
    lost = World().take(
        fact(Booked, 0), detainer(1), fact(ReleaseScheduled, 5, scheduled_for=at(48)), fact(Released, 48),
        detainer(1, DetainerState.CUSTODY_ASSUMED, 60),
    )  # fmt: skip
    assert lost.conflicts[-1].version == 4
    naive = rebuilt(lost, Known())
    assert [(c.version, c.stage) for c in naive.conflicts] == [(1, Stage.CLOSED)]
    assert rebuilt(lost, all_of(lost)).conflicts == []


def test_a_decision_comes_back_that_only_the_review_has() -> None:
    nameless = person(sid=None)
    lost = World().take(detainer(who=nameless), fact(Booked, 0, person=nameless))
    lost.take(decide(lost.reviews[-1], Decision.CONFIRM))
    lost.ground.decisions = DecisionBook()
    again = rebuilt(lost, all_of(lost))
    assert again.conflicts == []
    assert again.reviews == []


def test_the_ledgers_notices_do_where_the_topic_is_lost_too() -> None:
    """What is known of a conflict from its notice alone: the version, and all that a notice says."""
    lost = World().take(fact(Booked, 0), detainer(1), fact(ReleaseScheduled, 5, scheduled_for=at(48)))
    known = Known()
    for conflict in lost.conflicts:
        for planned in plan([conflict]).tell:
            known.line(planned.body)
    again = rebuilt(lost, known)
    assert again.conflicts == []
    assert again.take(fact(Released, 48)).stages() == [(3, Stage.RELEASED)]
    assert again.state.pairs[EPISODE].keys() == lost.state.pairs[EPISODE].keys()


def test_a_notice_says_of_a_conflict_what_a_conflict_says() -> None:
    shared = set(Conflict.__struct_fields__) & set(NoticeData.__struct_fields__)
    assert {
        "version",
        "stage",
        "detainer",
        "episode",
        "identity",
        "release",
        "retraction",
        "alerts",
        "hold_until",
    } <= shared
