"""What is told of a batch of conflict versions, and what is not (G5)."""

from __future__ import annotations

import msgspec
import pytest

from contracts.types.common import Tier
from contracts.types.conflict import Stage
from contracts.types.notice import Notice
from services.notifier.domain.planning import advice_for, plan, urgency_of
from tests.unit.notifier.conflicts import AGENCY, OTHER, conflict


@pytest.mark.parametrize("tier", [Tier.POSSIBLE, Tier.NONE])
@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RETRACTED])
def test_an_identity_that_is_not_good_enough_leaves_nothing(tier: Tier, stage: Stage) -> None:
    made = plan([conflict(stage=stage, tier=tier)])
    assert (made.tell, made.passed) == ([], [])


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
    order = sorted(Stage, key=urgency_of)
    assert set(order[:2]) == {Stage.RELEASED, Stage.RELEASED_BEFORE_DETAINER}
    assert urgency_of(Stage.RETRACTED) < urgency_of(Stage.CLOSED) < urgency_of(Stage.IN_CUSTODY)
    assert order[-1] is Stage.IN_CUSTODY


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
