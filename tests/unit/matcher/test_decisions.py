"""What a reviewer decides: promoted, buried, opened again by other evidence (docs/lifecycle.md, "Who it is")."""

from __future__ import annotations

import re

import pytest

from contracts.types.common import Tier
from contracts.types.conflict import Decision, RetractionReason, ReviewStatus, Stage
from contracts.types.custody import Booked, Released, Updated
from contracts.types.detainer import DetainerState
from contracts.types.person import Person
from services.matcher.domain.decisions import DecisionBook
from tests.unit.matcher.people import detainer, fact, person
from tests.unit.matcher.world import EPISODE, World, decide

NAMELESS = person(sid=None)
"""Name and birth date alone: POSSIBLE, whatever else is true (rule 1)."""


def reviewed(decision: Decision, who: Person = NAMELESS) -> World:
    """A hit that is only possible, and what was decided on it."""
    world = World().take(detainer(who=who), fact(Booked, 0, person=who))
    return world.take(decide(world.reviews[-1], decision))


def test_confirmed_it_is_told_as_probable() -> None:
    world = reviewed(Decision.CONFIRM)
    (told,) = world.conflicts
    assert (told.stage, told.identity.tier, told.identity.reviewed) == (
        Stage.IN_CUSTODY, Tier.PROBABLE, Decision.CONFIRM,
    )  # fmt: skip
    assert told.cause.kind == "review_confirm"
    assert [(r.version, r.status) for r in world.reviews] == [(1, ReviewStatus.OPEN), (2, ReviewStatus.CONFIRMED)]
    outcome = world.reviews[-1].outcome
    assert outcome is not None
    assert (outcome.decision, outcome.reviewer) == (Decision.CONFIRM, "reviewer-1")
    world.take(fact(Released, 10))
    assert world.stages()[-1] == (2, Stage.RELEASED)
    assert len(world.reviews) == 2, "decided is decided: the stage moves on, the review does not"


def test_rejected_nothing_is_ever_told() -> None:
    world = reviewed(Decision.REJECT).take(fact(Released, 10)).pass_time(3000)
    assert not world.conflicts
    assert world.reviews[-1].status is ReviewStatus.REJECTED


def test_rejected_after_it_was_told_it_is_retracted() -> None:
    world = reviewed(Decision.CONFIRM)
    world.take(decide(world.reviews[-1], Decision.REJECT, 60, "reviewer-2"))
    assert world.stages()[-1] == (2, Stage.RETRACTED)
    assert world.conflicts[-1].retraction is RetractionReason.IDENTITY_REJECTED
    assert world.reviews[-1].status is ReviewStatus.REJECTED


def test_the_newer_decision_counts_whichever_comes_first() -> None:
    world = World().take(detainer(who=NAMELESS), fact(Booked, 0, person=NAMELESS))
    early, late = (decide(world.reviews[-1], d, h) for d, h in ((Decision.CONFIRM, 50), (Decision.REJECT, 60)))
    assert not world.take(late, early).conflicts
    assert world.reviews[-1].status is ReviewStatus.REJECTED


def test_a_changed_identifier_opens_it_again() -> None:
    world = reviewed(Decision.REJECT)
    with_sid = person(sid="7654321")
    world.take(fact(Updated, 60, person=with_sid), detainer(-24, changed=61, who=person(sid="7654399")))
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN, ReviewStatus.REJECTED, ReviewStatus.OPEN]
    assert world.reviews[-1].identity.vetoes == ["two SIDs of CT"]


@pytest.mark.parametrize("decision", Decision)
def test_a_number_that_changes_and_still_differs_opens_it_again(decision: Decision) -> None:
    """Who compared CT 1111111 with CT 7654321 has not seen CT 9999999."""
    world = World().take(detainer(who=person(sid="7654321")), fact(Booked, 0, person=person(sid="1111111")))
    seen = world.reviews[-1]
    world.take(decide(seen, decision))
    told = [Stage.IN_CUSTODY] if decision is Decision.CONFIRM else []
    assert [stage for _, stage in world.stages()] == told
    world.take(fact(Updated, 60, person=person(sid="9999999")))
    assert [stage for _, stage in world.stages()] == [*told, *(Stage.RETRACTED for _ in told)]
    assert world.reviews[-1].status is ReviewStatus.OPEN
    assert world.reviews[-1].identity == seen.identity
    world.take(detainer(-24, changed=61, who=person(sid="4444444")))
    assert len({r.evidence_id for r in world.reviews}) == 3, "the other side's counts too"
    back = fact(Updated, 62, person=person(sid="CT-01111111", ucn="XY12"))
    world.take(detainer(-24, changed=62, who=person(sid="7654321")), back)
    assert world.reviews[-1].evidence_id == seen.evidence_id, "nor does its spelling, or what only one side has"
    assert world.reviews[-1].status is not ReviewStatus.OPEN


def test_an_open_review_is_told_of_the_number_that_changed() -> None:
    """A decision names the evidence of the version that was seen."""
    world = World().take(detainer(who=person(sid="7654321")), fact(Booked, 0, person=person(sid="1111111")))
    world.take(fact(Updated, 60, person=person(sid="9999999")))
    assert [(r.version, r.status) for r in world.reviews] == [(1, ReviewStatus.OPEN), (2, ReviewStatus.OPEN)]
    stale, seen = (decide(review, Decision.CONFIRM, 61) for review in world.reviews)
    assert not world.take(stale).conflicts
    assert world.take(seen).stages() == [(1, Stage.IN_CUSTODY)]


def test_a_state_of_before_knows_its_evidence() -> None:
    world = reviewed(Decision.CONFIRM)
    (pair,) = world.state.pairs[EPISODE].values()
    pair.evidence = ""
    assert not world.restarted().pass_time(0).conflicts


def test_no_number_can_be_read_in_a_name_of_evidence() -> None:
    world = World().take(detainer(who=person(sid="7654321")), fact(Booked, 0, person=person(sid="1111111")))
    assert re.fullmatch("[0-9a-f]{32}", world.reviews[-1].evidence_id)


def test_and_an_agreeing_one_overrides_the_rejection() -> None:
    world = reviewed(Decision.REJECT)
    world.take(fact(Updated, 60, person=person()), detainer(-24, changed=61, who=person()))
    assert world.stages() == [(1, Stage.IN_CUSTODY)]
    assert world.conflicts[0].identity.tier is Tier.CONFIRMED
    assert world.reviews[-1].status is ReviewStatus.WITHDRAWN


def test_what_was_confirmed_on_other_evidence_is_taken_back() -> None:
    world = reviewed(Decision.CONFIRM)
    world.take(fact(Updated, 60, person=person(sid="7654321")), detainer(-24, changed=61, who=person(sid="7654399")))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]
    assert world.conflicts[-1].retraction is RetractionReason.IDENTITY_CHANGED
    assert world.reviews[-1].status is ReviewStatus.OPEN


def test_a_decision_on_what_has_gone_changes_nothing() -> None:
    world = World().take(detainer(who=NAMELESS), fact(Booked, 0, person=NAMELESS))
    seen = world.reviews[-1]
    world.take(detainer(-24, DetainerState.LIFTED, 5, who=NAMELESS), decide(seen, Decision.CONFIRM))
    assert not world.conflicts
    assert world.reviews[-1].status is ReviewStatus.WITHDRAWN


def test_the_same_decision_again_is_no_version() -> None:
    world = reviewed(Decision.CONFIRM)
    world.take(decide(world.reviews[0], Decision.CONFIRM))
    assert (len(world.conflicts), len(world.reviews)) == (1, 2)


@pytest.mark.parametrize("decision", Decision)
def test_a_decision_outlives_its_topic(decision: Decision) -> None:
    """review.decisions.v1 is deleted after 400 days; somebody may wait for trial for longer."""
    world = reviewed(decision).pass_time(410 * 24)
    world.ground.decisions = DecisionBook()
    again = world.restarted().pass_time(410 * 24 + 1)
    assert not again.conflicts
    assert not again.reviews
    again.take(fact(Released, 411 * 24))
    assert again.stages() == ([(2, Stage.RELEASED)] if decision is Decision.CONFIRM else [])


def test_what_was_decided_on_evidence_that_comes_back_is_known_too() -> None:
    world = reviewed(Decision.CONFIRM)
    other = [detainer(-24, changed=60 + n, who=who) for n, who in enumerate((person(sid="7654399"), NAMELESS))]
    world.take(fact(Updated, 59, person=person(sid="7654321")), other[0])
    world.take(decide(world.reviews[-1], Decision.REJECT, 61))
    world.ground.decisions = DecisionBook()
    again = world.restarted().take(other[1])
    assert again.stages() == [(3, Stage.IN_CUSTODY)]


def test_a_newer_decision_than_the_one_kept_counts() -> None:
    world = reviewed(Decision.CONFIRM)
    seen = world.reviews[-1]
    world.ground.decisions = DecisionBook()
    again = world.restarted().take(decide(seen, Decision.REJECT, 49))
    assert not again.conflicts, "it is older"
    again.take(decide(seen, Decision.REJECT, 60, "reviewer-2"))
    assert again.stages() == [(2, Stage.RETRACTED)]


def test_a_decision_survives_a_restart() -> None:
    world = reviewed(Decision.CONFIRM).restarted().take(fact(Released, 10))
    assert world.stages() == [(2, Stage.RELEASED)]
    assert not world.reviews
