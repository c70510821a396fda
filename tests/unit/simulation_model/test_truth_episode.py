"""The naive truth, by docs/lifecycle.md: what facts come to, who it is, and feeds that a breaker stopped."""

from __future__ import annotations

import random
from itertools import permutations

from contracts.types.common import Tier
from contracts.types.conflict import Decision, RetractionReason, Stage
from contracts.types.custody import (
    Booked,
    Died,
    HeldElsewhere,
    Merged,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Unmerged,
    Updated,
    Voided,
)
from contracts.types.detainer import DetainerState, DetainerType
from contracts.types.feed import BreakerState
from tests.simulation.truth import Expected, Said
from tests.simulation.truth_episode import episode_of
from tests.unit.simulation_model.saying import (
    EPISODE,
    PAIR,
    SOURCE,
    at,
    breaker,
    decides,
    say,
    sid,
    somebody,
    told,
    wants,
)

BOOKED = say(Booked, 0)
OUT = say(Released, 100)
PLAN = say(ReleaseScheduled, 10, scheduled_for=at(200))
WARRANT = wants(kind=DetainerType.FEDERAL_WARRANT)


def stage(*facts: Said, now: float = 150) -> Stage:
    return told(facts, WARRANT, now=now).conflicts[PAIR].stage


def test_the_newest_of_one_id_stays() -> None:
    """Rule 8."""
    newer = say(ReleaseScheduled, 100, "released-100-0", sequence=1, scheduled_for=at(300))
    assert stage(BOOKED, OUT, newer) is stage(BOOKED, newer, OUT) is Stage.RELEASE_SCHEDULED
    older = say(ReleaseScheduled, 99, "released-100-0", scheduled_for=at(300))
    assert stage(BOOKED, OUT, older) is Stage.RELEASED
    elsewhere = say(ReleaseScheduled, 99, "released-100-0", source="another", scheduled_for=at(300))
    assert stage(BOOKED, OUT, elsewhere) is Stage.RELEASED


def test_a_void_takes_back_one_fact_and_can_be_voided() -> None:
    void = say(Voided, 101, "v1", voids_event=OUT.event_id)
    again = say(Voided, 102, "v2", voids_event="v1")
    third = say(Voided, 103, "v3", voids_event="v2")
    assert stage(BOOKED, OUT, void) is Stage.IN_CUSTODY
    assert stage(BOOKED, OUT, void, again) is Stage.RELEASED
    assert stage(BOOKED, OUT, void, again, third) is Stage.IN_CUSTODY
    other = say(Voided, 101, "v1", source="another", voids_event=OUT.event_id)
    assert stage(BOOKED, OUT, other) is Stage.RELEASED
    named = say(Voided, 101, "v1", source="another", voids_event=OUT.event_id, voids_source=SOURCE)
    assert stage(BOOKED, OUT, named) is Stage.IN_CUSTODY


def test_the_order_of_inputs_says_nothing() -> None:
    facts = [BOOKED, PLAN, OUT, say(Voided, 101, "v1", voids_event=OUT.event_id), say(ReleaseCancelled, 20)]
    assert {stage(*order) for order in permutations(facts)} == {Stage.IN_CUSTODY}


def test_a_booking_never_undoes_a_release_and_a_return_does() -> None:
    assert stage(BOOKED, OUT, say(Booked, 110)) is Stage.RELEASED
    assert stage(BOOKED, OUT, say(HeldElsewhere, 110)) is Stage.RELEASED
    assert stage(BOOKED, OUT, say(Returned, 110)) is Stage.IN_CUSTODY


def test_a_scheduled_release_is_taken_back() -> None:
    """Rules 6 and 9. A release that was reported takes the plan with it, one that was inferred does not."""
    assert stage(BOOKED, PLAN) is Stage.RELEASE_SCHEDULED
    assert stage(BOOKED, PLAN, say(ReleaseCancelled, 11)) is Stage.IN_CUSTODY
    court = say(ReleaseScheduled, 11, scheduled_for=at(20), reason=ReleaseReason.COURT)
    assert stage(BOOKED, PLAN, court) is Stage.IN_CUSTODY
    assert stage(BOOKED, PLAN, OUT, say(Returned, 110)) is Stage.IN_CUSTODY
    missing = say(Released, 100, inferred=True)
    assert stage(BOOKED, PLAN, missing) is Stage.RELEASED
    assert stage(BOOKED, PLAN, missing, say(Returned, 110)) is Stage.RELEASE_SCHEDULED


def test_elsewhere_says_nothing_of_somebody_who_has_left() -> None:
    moved = say(Transferred, 100, to_facility="MASUFFK00")
    assert stage(BOOKED, moved, say(HeldElsewhere, 110)) is Stage.TRANSFERRED
    assert stage(BOOKED, moved, say(Returned, 110), say(HeldElsewhere, 120)) is Stage.IN_CUSTODY


def test_the_earliest_admission_that_stands_counts() -> None:
    lifted = wants(-100, DetainerState.LIFTED, 50)
    assert told([BOOKED], lifted).gone == {PAIR: RetractionReason.DETAINER_LIFTED}
    assert told([BOOKED, say(Booked, 60)], lifted).gone == {PAIR: RetractionReason.DETAINER_LIFTED}
    void = say(Voided, 61, voids_event=BOOKED.event_id)
    assert told([BOOKED, say(Booked, 60), void], lifted).gone == {PAIR: RetractionReason.CUSTODY_CORRECTED}


def test_names_and_birth_dates_newest_first() -> None:
    """Rule 2."""
    person = episode_of([BOOKED, say(Updated, 5, person=somebody("2", surname="Ostrivane"))]).person
    assert person is not None
    assert [name.surname for name in person.names] == ["Ostrivane", "Quillfeather"]
    assert (person.birth_dates, person.identifiers) == (["1990-03-04"], [sid("2")])


def test_nobody_has_to_look_where_nothing_is_left_to_do() -> None:
    found = told([BOOKED, say(Died, 50)], wants(who=somebody("9")))
    assert not found.reviews
    assert not found.conflicts


def test_death_is_final_and_an_inferred_release_says_nothing_of_who_has_left() -> None:
    assert told([BOOKED, say(Died, 50), say(Returned, 60), OUT], WARRANT).conflicts[PAIR].closed_because == "died"
    found = told([BOOKED, OUT, say(Released, 120, inferred=True)], WARRANT).conflicts[PAIR]
    assert (found.released_at, found.inferred) == (at(100), False)
    found = told([BOOKED, say(Released, 90, inferred=True), OUT], WARRANT).conflicts[PAIR]
    assert (found.released_at, found.inferred) == (at(100), False)


def test_an_identifier_replaces_one_of_its_kind_and_names_are_kept() -> None:
    new = say(Updated, 5, person=somebody("2", surname="Ostrivane"))
    assert told([BOOKED, new], wants()).reviews == {PAIR: Stage.IN_CUSTODY}
    assert told([BOOKED, new], wants(who=somebody("2"))).conflicts[PAIR].tier is Tier.CONFIRMED
    assert told([BOOKED, say(Updated, -5, person=somebody("2"))], wants()).conflicts[PAIR].tier is Tier.CONFIRMED


def test_merged_records_chain_and_part_again() -> None:
    """Rule 3."""
    links = [
        say(Merged, 5, absorbed=sid("3"), surviving=sid("2")),
        say(Merged, 6, absorbed=sid("1"), surviving=sid("2")),
    ]
    theirs = wants(who=somebody("3"))
    assert told([BOOKED], theirs).reviews == {PAIR: Stage.IN_CUSTODY}
    assert told([BOOKED, *links], theirs).conflicts[PAIR].tier is Tier.CONFIRMED
    parted = say(Unmerged, 7, absorbed=sid("2"), surviving=sid("1"))
    assert told([BOOKED, *links, parted], theirs).reviews == {PAIR: Stage.IN_CUSTODY}
    again = say(Merged, 8, absorbed=sid("1"), surviving=sid("2"))
    assert told([BOOKED, *links, parted, again], theirs).conflicts[PAIR].tier is Tier.CONFIRMED


def test_a_claim_of_citizenship_stays_and_goes_to_a_person() -> None:
    """Rule 21, and only on an immigration detainer."""
    claims = say(Updated, 5, person=somebody("1", claims=True))
    facts = [BOOKED, claims, say(Updated, 6, person=somebody("1"))]
    assert told(facts, wants()).reviews == {PAIR: Stage.IN_CUSTODY}
    assert told(facts, WARRANT).conflicts[PAIR].tier is Tier.CONFIRMED


def test_the_newest_version_of_a_detainer_counts() -> None:
    versions = [wants(-100), wants(-100, changed=-50, who=somebody(surname="Ostrivane")), wants(-100, changed=-60)]
    assert told([BOOKED], versions).gone == {PAIR: RetractionReason.IDENTITY_CHANGED}


def test_a_decision_holds_for_the_evidence_that_was_seen() -> None:
    possible = wants(who=somebody("9"))
    confirm, reject = decides(Decision.CONFIRM, 10), decides(Decision.REJECT, 20)
    assert told([BOOKED], possible).reviews == {PAIR: Stage.IN_CUSTODY}
    found = told([BOOKED], possible, decisions=[confirm]).conflicts[PAIR]
    assert found == Expected(Stage.IN_CUSTODY, tier=Tier.PROBABLE, reviewed=True)
    assert told([BOOKED], possible, decisions=[confirm], evidence="other").reviews == {PAIR: Stage.IN_CUSTODY}
    for order in ([confirm, reject], [reject, confirm]):
        assert told([BOOKED], possible, decisions=order).gone == {PAIR: RetractionReason.IDENTITY_REJECTED}
    assert told([BOOKED], wants(), decisions=[reject]).gone == {PAIR: RetractionReason.IDENTITY_REJECTED}
    assert not told([BOOKED], wants(), decisions=[confirm]).conflicts[PAIR].reviewed
    assert not told([BOOKED], possible, decisions=[reject]).reviews


def test_releases_that_a_breaker_stopped() -> None:
    """Rule 19."""
    facts = [BOOKED, OUT]
    tripped = told(facts, WARRANT, breakers=[breaker(BreakerState.TRIPPED, 100)])
    assert tripped.withheld == {PAIR}
    assert not tripped.lost
    over = told(facts, wants(state=DetainerState.LIFTED, changed=50), breakers=[breaker(BreakerState.TRIPPED, 100)])
    assert not over.withheld
    assert over.lost == {PAIR}
    assert not told(facts, WARRANT, breakers=[breaker(BreakerState.TRIPPED, 100.1)]).withheld
    assert not told(
        facts, wants(who=somebody(surname="Ostrivane")), breakers=[breaker(BreakerState.TRIPPED, 90)]
    ).withheld
    tripping = breaker(BreakerState.TRIPPED, 100)
    freed = told(facts, WARRANT, breakers=[breaker(BreakerState.RELEASED, 100, 110), tripping])
    assert (freed.conflicts[PAIR].stage, freed.withheld) == (Stage.RELEASED, frozenset())
    discarded = breaker(BreakerState.DISCARDED, 100, 110)
    assert told(facts, WARRANT, breakers=[tripping, discarded]).conflicts[PAIR].stage is Stage.IN_CUSTODY
    again = say(Released, 100, accepted=109)  # the same fact, accepted twice before the decision
    assert told([*facts, again], WARRANT, breakers=[discarded]).conflicts[PAIR].stage is Stage.IN_CUSTODY
    anew = say(Released, 100, accepted=111)
    assert told([*facts, again, anew], WARRANT, breakers=[discarded]).conflicts[PAIR].released_at == at(100)
    later = say(Released, 105, accepted=111)
    assert told([*facts, later], WARRANT, breakers=[discarded]).conflicts[PAIR].released_at == at(105)


def test_ever_notifiable() -> None:
    """G5: only where some part of the facts, or some version of the detainer, makes the identity good enough."""
    stranger = somebody("7", surname="Ostrivane")
    assert told([BOOKED], wants()).ever_notifiable(PAIR)
    assert not told([BOOKED], wants(who=stranger)).ever_notifiable(PAIR)
    assert told([BOOKED], [wants(), wants(changed=5, who=stranger)]).ever_notifiable(PAIR)
    assert not told([BOOKED], wants(who=somebody("7"))).ever_notifiable(PAIR)
    assert told([BOOKED], wants(who=somebody("7")), decisions=[decides(Decision.CONFIRM, 5)]).ever_notifiable(PAIR)
    assert not told([BOOKED], wants(who=somebody("7")), decisions=[decides(Decision.REJECT, 5)]).ever_notifiable(PAIR)
    replaced = say(Booked, 0, sequence=1, event_id=BOOKED.event_id, person=stranger)
    assert told([BOOKED, replaced], wants()).ever_notifiable(PAIR)
    voided = say(Voided, 1, voids_event=BOOKED.event_id)
    assert told([BOOKED, voided], wants()).ever_notifiable(PAIR)


def test_each_pair_by_itself_and_repeats_are_nothing() -> None:
    """Rule 12, G2."""
    facts = [BOOKED, PLAN, OUT] * 2
    random.Random(1).shuffle(facts)
    both = told(facts, [wants(), wants(agency="USMSCT000", lodged=101), wants()])
    assert {found.stage for found in both.conflicts.values()} == {Stage.RELEASED, Stage.RELEASED_BEFORE_DETAINER}
    assert {episode for _, episode in both.conflicts} == {EPISODE}
