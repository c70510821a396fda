"""What an operator's decision is about, and what does not wait for one (rule 19, docs/lifecycle.md, "Feeds")."""

from __future__ import annotations

import msgspec
import pytest

from contracts.types.common import Tier
from contracts.types.conflict import Decision, RetractionReason, ReviewDecision, ReviewStatus, Stage
from contracts.types.custody import Released, ReleaseReason, Updated
from contracts.types.detainer import DetainerState
from contracts.types.feed import BreakerState, FeedState
from services.matcher.adapters.changelog import encode_episode
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.feeds.tally import Tally
from services.matcher.domain.inputs import DecisionInput
from tests.unit.matcher.jail import PARTITIONS, PEOPLE, Facility, who
from tests.unit.matcher.people import FACILITY, at, detainer, fact, person
from tests.unit.matcher.world import decide

SOMEBODY_ELSE = person("Ottermole", "Vashti", "1971-12-01", sid="9999999")


def stopped() -> Facility:
    """Everybody was released within forty minutes from 10 on; B-36 is told as in custody, and its release waits."""
    jail = Facility().release(range(PEOPLE), 10)
    assert jail.stages()["B-36"] is Stage.IN_CUSTODY
    return jail


def released_again(jail: Facility, number: int, hours: float) -> None:
    """The very event of `stopped`, accepted once more."""
    moment = 10 + number / 60
    event = Released(**jail.of(number), occurred_at=at(moment))
    jail.event(number, event, hours, f"Released-{number}-{moment:g}")


# -- what is sent again after a discard --------------------------------------------------------------------------------


def test_a_true_release_among_the_false_ones_counts_when_it_is_sent_again() -> None:
    jail = stopped().decide(BreakerState.DISCARDED, 12)
    released_again(jail, 36, 13)
    assert jail.stages()["B-36"] is Stage.RELEASED
    assert jail.stages()["B-32"] is Stage.IN_CUSTODY
    assert jail.restart().pass_time(14).stages()["B-36"] is Stage.RELEASED


def test_and_whichever_is_read_first_the_decision_or_the_release() -> None:
    jail = stopped()
    released_again(jail, 36, 13)
    released_again(jail, 32, 11)
    assert jail.stages()["B-36"] is Stage.IN_CUSTODY, "it waits like all"
    tripped = jail.breakers[-1]
    jail.put(msgspec.structs.replace(tripped, state=BreakerState.DISCARDED, decided_at=at(12), decided_by="operator-1"))
    assert jail.stages()["B-36"] is Stage.RELEASED
    assert jail.stages()["B-32"] is Stage.IN_CUSTODY, "accepted before the decision, twice"


def test_the_same_mass_sent_again_trips_again() -> None:
    jail = stopped().decide(BreakerState.DISCARDED, 12).pass_time(13)
    with jail.at_once():
        for number in range(PEOPLE):
            released_again(jail, number, 13)
    assert [b.state for b in jail.breakers] == [BreakerState.TRIPPED] * 2
    assert jail.told_released() <= 3 * PARTITIONS
    jail.decide(BreakerState.DISCARDED, 14)
    assert jail.told_released() == 0


def test_an_operator_who_has_let_it_through_is_not_asked_again() -> None:
    jail = stopped().decide(BreakerState.RELEASED, 12)
    told = len(jail.conflicts)
    released_again(jail, 36, 13)
    assert len(jail.conflicts) == told
    assert len(jail.breakers) == 1


def test_of_a_release_the_first_acceptance_is_kept_and_the_last() -> None:
    once, twice, thrice = (msgspec.structs.replace(fact(Released, 10), accepted_at=at(h)) for h in (11, 12, 13))
    for order in ((once, twice, thrice), (thrice, twice, once), (twice, thrice, once), (once, thrice, twice, once)):
        episode = Episode(FACILITY, "B-1")
        for one in order:
            episode.add(one)
        assert [(f.accepted_at, f.again_at) for f in episode.facts] == [(at(11), at(13))]
        assert not episode.add(twice)
    assert once.again is None
    assert episode.facts[0].again == thrice


def test_of_anything_else_only_the_first() -> None:
    episode = Episode(FACILITY, "B-1")
    assert episode.add(fact(Updated, 10))
    assert not episode.add(msgspec.structs.replace(fact(Updated, 10), accepted_at=at(11)))
    assert episode.facts == [fact(Updated, 10)]


def test_the_changelog_of_before_is_read_and_nothing_is_written_where_nothing_is_new() -> None:
    written = msgspec.json.encode(fact(Released, 10))
    assert set(msgspec.json.decode(written)) == {"source", "event_id", "accepted_at", "event"}
    assert msgspec.json.decode(written, type=Fact) == fact(Released, 10)


# -- what does not wait for the operator -------------------------------------------------------------------------------


def corrected(jail: Facility, number: int, hours: float) -> None:
    """The booking is of somebody else altogether."""
    update = Updated(**jail.of(number), occurred_at=at(hours), person=SOMEBODY_ELSE)
    jail.event(number, update, hours)


def reviewed(jail: Facility, number: int, decision: ReviewDecision) -> None:
    jail.ground.decisions.put(decision, 0, 0)
    jail.evolve(number % PARTITIONS, DecisionInput(decision.detainer_id, decision.episode_id))


def test_an_identity_that_is_lost_is_retracted_at_once() -> None:
    """G6: whether its release is told already, as of B-0, or waits, as of B-36."""
    jail = stopped()
    for number in (36, 0):
        corrected(jail, number, 11)
        assert jail.stages()[f"B-{number}"] is Stage.RETRACTED
        assert jail.conflicts[-1].retraction is RetractionReason.IDENTITY_CHANGED
    told = len(jail.conflicts)
    jail.decide(BreakerState.RELEASED, 12)
    assert not [c for c in jail.conflicts[told:] if c.episode.booking_number in ("B-0", "B-36")]


def test_the_review_that_takes_its_place_rests_on_the_release_and_waits() -> None:
    jail = stopped()
    corrected(jail, 36, 11)
    assert not jail.reviews
    jail.decide(BreakerState.DISCARDED, 12)
    assert [(r.status, r.stage) for r in jail.reviews] == [(ReviewStatus.OPEN, Stage.IN_CUSTODY)]


def test_a_review_is_withdrawn_at_once_and_a_rejection_retracts_at_once() -> None:
    jail = Facility()
    wanted = detainer(reference="D-33", who=msgspec.structs.replace(who(33), identifiers=[]))
    jail.lodge(wanted)
    (asked,) = jail.reviews
    assert asked.identity.tier is Tier.POSSIBLE
    confirmed, rejected = decide(asked, Decision.CONFIRM, 1), decide(asked, Decision.REJECT, 11, "reviewer-2")
    reviewed(jail, 33, confirmed)
    reviewed(jail.release(range(PEOPLE), 10), 33, rejected)
    assert jail.stages()["B-33"] is Stage.RETRACTED
    assert jail.conflicts[-1].retraction is RetractionReason.IDENTITY_REJECTED
    assert [r.status for r in jail.reviews[1:]] == [ReviewStatus.CONFIRMED, ReviewStatus.REJECTED]
    jail.lodge(msgspec.structs.replace(wanted, state=DetainerState.LIFTED, occurred_at=at(12), ended_at=at(12)))
    assert jail.reviews[-1].status is ReviewStatus.WITHDRAWN


def test_a_retraction_that_only_the_release_brings_about_waits() -> None:
    """Moved away, by its word, before the detainer was lodged: without it there is nothing to take back."""
    jail = Facility().release([n for n in range(PEOPLE) if n != 36], 10)
    moved = Released(**jail.of(36), occurred_at=at(10), reason=ReleaseReason.TRANSFER)
    late = detainer(11, reference="D-36", who=who(36), changed=11)
    jail.lodge(msgspec.structs.replace(late, lodged_at=at(11)))
    assert jail.stages()["B-36"] is Stage.IN_CUSTODY
    jail.event(36, moved, 11)
    assert jail.stages()["B-36"] is Stage.IN_CUSTODY
    assert jail.decide(BreakerState.RELEASED, 12).stages()["B-36"] is Stage.RETRACTED


# -- what is put away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("possible", [False, True], ids=["conflict", "review"])
def test_what_still_waits_is_not_put_away(possible: bool) -> None:
    """The detainer came while the breaker stood, so that nothing of it was ever told."""
    jail = Facility().release(range(PEOPLE), 10)
    somebody = who(33)
    jail.lodge(
        detainer(reference="D-33", who=msgspec.structs.replace(somebody, identifiers=[]) if possible else somebody)
    )
    jail.pass_time(24 * 400)
    of_33 = [e for s in jail.states for e in s.episodes.values() if e.booking_number == "B-33"]
    assert of_33, "an operator may still say that it is true"
    assert not [e for s in jail.states for e in s.episodes.values() if e.booking_number == "B-34"]
    jail.decide(BreakerState.RELEASED, 24 * 400)
    if possible:
        assert jail.reviews[-1].stage is Stage.RELEASED
    else:
        assert jail.stages()["B-33"] is Stage.RELEASED


# -- a clock of ingest that is ahead -----------------------------------------------------------------------------------


def early(jail: Facility) -> Facility:
    """A message that ingest accepted, by its clock, three days from now."""
    jail.hours = 1
    event = Updated(**jail.of(0), occurred_at=at(1))
    jail.take(0, jail.fact(0, event, 73, "early"))
    jail.take(0, jail.fact(0, event, 74, "early"))
    return jail


def test_a_clock_that_is_ahead_does_not_blind_the_breaker() -> None:
    jail = early(Facility()).release(range(PEOPLE), 10)
    assert [b.releases for b in jail.breakers] == [11]
    assert jail.told_released() < 10


def test_nor_is_silence_told_later() -> None:
    jail = early(Facility()).release(range(20), 2, minutes_apart=30)
    assert not jail.statuses
    silent = jail.pass_time(40).statuses
    assert [(s.facility, s.state) for s in silent] == [(FACILITY, FeedState.SILENT)]
    assert silent[0].last_heard_at == at(11.5)
    jail.restart().pass_time(60)
    assert len(jail.statuses) == 1, "a restart does not hear it again"
    jail.release([30], 61)
    assert [s.state for s in jail.statuses] == [FeedState.SILENT, FeedState.HEARD]


def test_it_is_kept_with_the_fact_and_only_then() -> None:
    jail = early(Facility())
    (state,) = (s for s in jail.states if any(e.booking_number == "B-0" for e in s.episodes.values()))
    (episode,) = (e for e in state.episodes.values() if e.booking_number == "B-0")
    assert [f.taken_at for f in episode.facts] == [None, at(1)]
    assert episode.facts[1].accepted_at == at(73)
    assert (encode_episode(state, episode.id) or b"").count(b"taken_at") == 1


def test_a_tally_of_before_is_set_right_by_a_restore() -> None:
    jail = Facility()
    jail.ground.feeds.put(0, Tally(FACILITY, at(73), 14))
    jail.restart().pass_time(0.1)
    assert jail.states[0].tallies.tally(FACILITY).heard_at == at(0)
