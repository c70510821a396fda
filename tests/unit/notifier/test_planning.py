"""What is told of a batch of conflict versions, and what is not (G5)."""

from __future__ import annotations

import msgspec
import pytest

from contracts.types.common import Tier
from contracts.types.conflict import Alert, Conflict, Decision, Stage
from contracts.types.notice import Notice
from services.notifier.domain.planning import ENDING, advice_for, is_alarm, plan, urgency_of
from tests.unit.notifier.conflicts import AGENCY, JAIL, OTHER, conflict


@pytest.mark.parametrize("tier", [Tier.POSSIBLE, Tier.NONE])
@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RETRACTED])
def test_an_identity_that_is_not_good_enough_leaves_nothing(tier: Tier, stage: Stage) -> None:
    made = plan([conflict(stage=stage, tier=tier)])
    assert (made.tell, made.passed, made.facility) == ([], [], [])


@pytest.mark.parametrize("tier", [Tier.CONFIRMED, Tier.PROBABLE])
@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RETRACTED])
def test_what_a_reviewer_rejected_leaves_nothing(tier: Tier, stage: Stage) -> None:
    rejected = plan([conflict(stage=stage, tier=tier, reviewed=Decision.REJECT, alerts=list(Alert))])
    assert (rejected.tell, rejected.passed, rejected.facility) == ([], [], [])
    assert len(plan([conflict(stage=stage, tier=tier, reviewed=Decision.CONFIRM)]).tell) == 1


def test_what_a_reviewer_rejected_is_taken_back() -> None:
    made = plan([conflict(version=2, stage=Stage.RETRACTED, tier=Tier.POSSIBLE, reviewed=Decision.REJECT)])
    assert [p.recipient for p in (*made.tell, *made.facility)] == [AGENCY, JAIL]


@pytest.mark.parametrize("tier", list(Tier))
def test_a_retraction_names_the_identity_that_was_lost_and_is_let_through(tier: Tier) -> None:
    assert len(plan([conflict(version=2, stage=Stage.RETRACTED, tier=tier)]).tell) == 1


def test_a_notice_is_a_prompt_and_says_when_the_identity_is_not_confirmed() -> None:
    sure, unsure = advice_for(conflict()), advice_for(conflict(tier=Tier.PROBABLE))
    assert "not a ground to hold" in sure
    assert "not a ground to hold" in unsure
    assert "not confirmed, verify" in unsure
    assert "not confirmed" not in sure


@pytest.mark.parametrize("tier", [Tier.CONFIRMED, Tier.PROBABLE])
def test_the_body_is_a_notice_of_the_contract_for_the_lodging_agency(tier: Tier) -> None:
    given = conflict(agency=OTHER, tier=tier)
    (told,) = plan([given]).tell
    notice = msgspec.json.decode(told.body, type=Notice)
    assert notice.type == "notice.released"
    assert (notice.data.recipient, told.recipient) == (OTHER, OTHER)
    assert notice.data.notice_id == told.notice_id
    assert notice.data.advice == advice_for(given)
    assert notice.data.release == given.release


def test_who_is_out_goes_before_who_is_in() -> None:
    order = sorted((conflict(stage=stage) for stage in Stage), key=urgency_of)
    assert {c.stage for c in order[:2]} == {Stage.RELEASED, Stage.RELEASED_BEFORE_DETAINER}
    assert order[-1].stage is Stage.IN_CUSTODY
    retracted, closed = conflict(stage=Stage.RETRACTED), conflict(stage=Stage.CLOSED)
    assert urgency_of(retracted) < urgency_of(closed) < urgency_of(order[-1])


def test_who_is_held_too_long_is_urgent() -> None:
    held = conflict(stage=Stage.IN_CUSTODY, alerts=[Alert.OVER_DETENTION, Alert.DETAINER_EXPIRES])
    lapsing = conflict(stage=Stage.IN_CUSTODY, alerts=[Alert.DETAINER_EXPIRES])
    assert urgency_of(held) == urgency_of(conflict(stage=Stage.HOLD_EXPIRED)) < urgency_of(lapsing)
    assert urgency_of(lapsing) < urgency_of(conflict(stage=Stage.IN_CUSTODY))
    assert urgency_of(conflict(alerts=list(Alert))) == urgency_of(conflict()), "an alert makes nothing less urgent"
    (told,) = plan([held]).tell
    assert told.urgency == urgency_of(held)


ALARMS = [
    conflict(stage=Stage.HOLD_EXPIRED),
    conflict(stage=Stage.IN_CUSTODY, alerts=[Alert.OVER_DETENTION]),
    conflict(stage=Stage.RELEASE_SCHEDULED, alerts=[Alert.DETAINER_EXPIRES]),
]


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_is_told_to_both_sides_each_in_its_words(alarm: Conflict) -> None:
    made = plan([alarm])
    (agency,), (facility,) = made.tell, made.facility
    assert (agency.recipient, facility.recipient) == (AGENCY, JAIL)
    assert (agency.follows, facility.follows) == (False, False)
    assert agency.notice_id != facility.notice_id
    ours, theirs = (msgspec.json.decode(p.body, type=Notice).data for p in (agency, facility))
    assert (ours.recipient, theirs.recipient) == (AGENCY, JAIL)
    assert theirs.notice_id == facility.notice_id
    assert (theirs.alerts, theirs.hold_until) == (alarm.alerts, alarm.hold_until)
    assert (ours.alerts, ours.hold_until) == (alarm.alerts, alarm.hold_until)
    assert ours.advice != theirs.advice
    assert "check" in theirs.advice
    assert "not a ground to hold" in theirs.advice


@pytest.mark.parametrize("tier", [Tier.CONFIRMED, Tier.PROBABLE])
@pytest.mark.parametrize("stage", list(Stage))
def test_every_advice_fits_its_place(tier: Tier, stage: Stage) -> None:
    plain = {advice_for(conflict(stage=s, tier=tier)) for s in (Stage.RELEASED, Stage.IN_CUSTODY)}
    assert len(plain) == 1
    for alerts in ([], [Alert.OVER_DETENTION], [Alert.DETAINER_EXPIRES], list(Alert)):
        given = conflict(stage=stage, tier=tier, alerts=alerts)
        for facility in (False, True):
            advice = advice_for(given, facility=facility)
            assert len(advice) <= 200
            assert (advice in plain) != is_alarm(given)


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.HOLD_EXPIRED])
def test_what_is_no_alarm_only_follows_one_to_the_facility(stage: Stage) -> None:
    made = plan([conflict(stage=stage)])
    (agency,), (facility,) = made.tell, made.facility
    assert facility.follows
    assert agency.follows == (stage in ENDING)


@pytest.mark.parametrize("stage", [Stage.RELEASED, Stage.RELEASED_BEFORE_DETAINER])
def test_a_release_is_urgent_to_the_agency_and_not_to_the_jail_that_released(stage: Stage) -> None:
    made = plan([conflict(stage=stage)])
    (agency,), (facility,) = made.tell, made.facility
    assert (agency.urgency, facility.urgency) == (0, 1)


def test_a_sheriff_who_runs_the_jail_is_told_once() -> None:
    made = plan([conflict(stage=Stage.HOLD_EXPIRED, facility=AGENCY)])
    assert len(made.tell) == 1
    assert made.facility == []


def test_an_alarm_that_is_over_within_its_batch_is_not_told_to_the_facility() -> None:
    made = plan([conflict(version=1, stage=Stage.HOLD_EXPIRED), conflict(version=2)])
    assert [(p.conflict.version, p.follows) for p in made.facility] == [(2, True)]


def test_only_the_newest_of_a_batch_is_told_whatever_its_place() -> None:
    one, two, three = (conflict(version=v, stage=Stage.RELEASE_SCHEDULED) for v in (1, 2, 3))
    other = conflict(number=2)
    for batch in ([one, two, three, other], [three, one, other, two]):
        made = plan(batch)
        assert {p.conflict.version for p in made.tell if p.conflict.conflict_id == one.conflict_id} == {3}
        assert {p.conflict.version for p in made.passed} == {1, 2}
        assert other.conflict_id in {p.conflict.conflict_id for p in made.tell}


def test_ids_are_the_same_on_every_run_and_differ_by_version_and_conflict() -> None:
    versions = [conflict(n, v) for n in (1, 2) for v in (1, 2)]
    names = [plan([c]).tell[0].notice_id for c in versions]
    assert len(set(names)) == 4
    assert names == [plan([c]).tell[0].notice_id for c in versions]
    assert plan([conflict(agency=AGENCY)]).tell[0].notice_id != plan([conflict(agency=OTHER)]).tell[0].notice_id
