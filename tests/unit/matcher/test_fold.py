"""The fold: versions, both directions of the join, reviews, retractions, and G2 as a property."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ids import episode_id
from contracts.types.common import Tier
from contracts.types.conflict import RetractionReason, ReviewStatus, Stage
from contracts.types.custody import (
    Booked,
    Released,
    ReleaseScheduled,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState
from services.matcher.domain.episode import Fact
from services.matcher.domain.inputs import CustodyInput
from tests.unit.matcher.histories import LONG_AFTER, disturbed, histories, played
from tests.unit.matcher.people import AGENCY, at, detainer, fact, person
from tests.unit.matcher.world import Given, World


def test_custody_meets_an_open_detainer() -> None:
    world = World().take(
        detainer(), fact(Booked, 0), fact(ReleaseScheduled, 5, scheduled_for=at(48)), fact(Released, 48)
    )
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RELEASE_SCHEDULED), (3, Stage.RELEASED)]
    assert len({c.conflict_id for c in world.conflicts}) == 1
    assert [c.previous_stage for c in world.conflicts] == [None, Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED]
    assert all(c.identity.tier is Tier.CONFIRMED for c in world.conflicts)


def test_a_new_detainer_meets_people_in_custody() -> None:
    assert World().take(fact(Booked, 0), detainer(3)).stages() == [(1, Stage.IN_CUSTODY)]
    assert World().take(fact(Booked, 0), fact(Released, 2), detainer(3)).stages() == [
        (1, Stage.RELEASED_BEFORE_DETAINER)
    ]


def test_a_stranger_leads_to_nothing() -> None:
    stranger = person("Ottermole", "Vashti", "1971-12-01", sid="7777777")
    world = World().take(detainer(), fact(Booked, 0, person=stranger), fact(Released, 2))
    assert not world.conflicts
    assert not world.reviews


def test_repeats_make_no_versions() -> None:
    inputs: list[Fact | Detainer] = [detainer(), fact(Booked, 0), fact(Released, 2)]
    assert World().take(*inputs, *inputs, *inputs).stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RELEASED)]


def test_hartford() -> None:
    """DOMAIN.md, "The case the system was asked for": 62 days from the release to custody."""
    assumed_at = (31 + 28 + 31 + 4 - 1) * 24  # 4 April, from 1 January
    world = World().take(
        detainer(-80 * 24),
        fact(Booked, -90 * 24),
        fact(ReleaseScheduled, 30 * 24, scheduled_for=at(31 * 24)),
        fact(Released, 31 * 24),
        detainer(-80 * 24, DetainerState.CUSTODY_ASSUMED, assumed_at),
    )
    assert [stage for _, stage in world.stages()] == [
        Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED, Stage.RELEASED, Stage.CLOSED,
    ]  # fmt: skip
    assert world.conflicts[-1].closed_because == "custody_assumed"
    assert world.conflicts[-1].time_to_custody_s == 62 * 86_400


def test_name_and_birth_date_go_to_review_and_never_to_a_notice() -> None:
    who = person(sid=None)
    world = World().take(detainer(who=who), fact(Booked, 0, person=who), fact(Released, 2))
    assert not world.conflicts
    assert [(r.version, r.status, r.stage) for r in world.reviews] == [
        (1, ReviewStatus.OPEN, Stage.IN_CUSTODY),
        (2, ReviewStatus.OPEN, Stage.RELEASED),
    ]
    assert all(r.identity.tier is Tier.POSSIBLE for r in world.reviews)
    world.take(detainer(-24, DetainerState.LIFTED, 5, who=who))
    assert world.reviews[-1].status is ReviewStatus.WITHDRAWN


def test_an_identifier_that_turns_up_promotes_and_one_that_differs_retracts() -> None:
    world = World().take(detainer(), fact(Booked, 0, person=person(sid=None)))
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN]
    world.take(fact(Updated, 1, person=person()))
    assert world.stages() == [(1, Stage.IN_CUSTODY)]
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN, ReviewStatus.WITHDRAWN]
    world.take(fact(Updated, 2, person=person(sid="9999999")))
    assert world.stages()[-1] == (2, Stage.RETRACTED)
    assert world.reviews[-1].status is ReviewStatus.OPEN
    assert world.reviews[-1].identity.vetoes == ["two SIDs of CT"]


def test_several_detainers_are_judged_one_by_one() -> None:
    """Rule 12: lifting one leaves the other."""
    other = detainer(reference="D-2", agency="NYPROB001")
    world = World().take(detainer(), other, fact(Booked, 0), detainer(-24, DetainerState.LIFTED, 5))
    stages = {(c.detainer.agency, c.version): c.stage for c in world.conflicts}
    assert stages == {
        (AGENCY, 1): Stage.IN_CUSTODY,
        ("NYPROB001", 1): Stage.IN_CUSTODY,
        (AGENCY, 2): Stage.RETRACTED,
    }


def test_a_tier_that_changes_when_all_is_over_is_no_news() -> None:
    by_ssn4 = person(sid=None, ssn4="4821")
    wanted = person(ssn4="4821")
    held = World().take(detainer(who=wanted), fact(Booked, 0, person=by_ssn4))
    assert held.conflicts[-1].identity.tier is Tier.PROBABLE
    held.take(detainer(-24, DetainerState.LIFTED, 5, who=wanted), fact(Updated, 6, person=person()))
    assert held.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]
    handed_over = World().take(
        detainer(who=wanted), fact(Booked, 0, person=by_ssn4), fact(Released, 5, released_to=AGENCY)
    )
    handed_over.take(fact(Updated, 6, person=person()))
    assert handed_over.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.CLOSED)]


def test_a_transfer_is_told_and_the_booking_there_is_matched_from_scratch() -> None:
    """Rule 5 by notice, not by inference: who is booked there by name alone waits for a reviewer (ADR 7)."""
    world = World().take(detainer(), fact(Booked, 0), fact(Transferred, 5, to_facility="CTMACDGL0"))
    there = Booked(facility="CTMACDGL0", booking_number="B-9", occurred_at=at(6), person=person(sid=None))
    world.evolve(CustodyInput(Fact("macdougall-jms", "b-9", at(6), there), episode_id("CTMACDGL0", "B-9")))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.TRANSFERRED)]
    release = world.conflicts[-1].release
    assert release is not None
    assert release.to_facility == "CTMACDGL0"
    assert [(r.custody_side.where, r.identity.tier, r.status) for r in world.reviews] == [
        ("CTMACDGL0", Tier.POSSIBLE, ReviewStatus.OPEN)
    ]


def test_a_detainer_moved_to_another_person_is_retracted() -> None:
    """Withdrawn from this one, in effect: the amendment names somebody else (G6)."""
    somebody_else = person("Ottermole", "Vashti", "1971-12-01", sid="7777777")
    world = World().take(detainer(), fact(Booked, 0), detainer(-24, changed=1, who=somebody_else, sequence=1))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]


def test_whoever_nobody_names_any_more_is_retracted_as_corrected() -> None:
    """A release without its booking (rule 7), and the update that had named somebody is voided."""
    named = fact(Updated, 1, person=person())
    world = World().take(detainer(), named, fact(Released, 5), fact(Voided, 6, voids_event=named.event_id))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RELEASED), (3, Stage.RETRACTED)]
    assert world.conflicts[-1].retraction is RetractionReason.CUSTODY_CORRECTED


# -- G2: whatever the order ------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_same_facts_same_conflicts(said: list[Given], data: st.DataObject) -> None:
    """In another order, with repeats, and with time and crashes in between."""
    assert played(data.draw(disturbed(said))).final() == played(said).final()


@settings(max_examples=200, deadline=None)
@given(histories(), st.data())
def test_versions_have_no_gaps_and_survive_a_restart(chosen: list[Given], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(chosen)))
    before = World().take(*chosen[:cut])
    after = before.restarted().take(*chosen[cut:]).pass_time(LONG_AFTER)
    straight = World().take(*chosen).pass_time(LONG_AFTER)
    versions: dict[str, list[int]] = {}
    for conflict in [*before.conflicts, *after.conflicts]:
        versions.setdefault(conflict.conflict_id, []).append(conflict.version)
    assert all(got == list(range(1, len(got) + 1)) for got in versions.values())
    assert [*before.conflicts, *after.conflicts] == straight.conflicts
