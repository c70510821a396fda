"""The naive truth, by the numbered lines of docs/lifecycle.md, "The standing", and what comes with it."""

from __future__ import annotations

import pytest

from contracts.types.conflict import Alert, RetractionReason, Stage
from contracts.types.custody import (
    Booked,
    Died,
    Escaped,
    HeldElsewhere,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from tests.simulation.truth import Expected, Said
from tests.unit.simulation_model.saying import AGENCY, PAIR, at, say, somebody, told, wants

BOOKED = say(Booked, 0)
RELEASED = say(Released, 100, reason=ReleaseReason.BOND)
WARRANT = DetainerType.FEDERAL_WARRANT


def stands(*facts: Said, by: Detainer | None = None, now: float = 2000.0) -> Expected:
    return told(facts, by or wants(), now=now).conflicts[PAIR]


def gone(*facts: Said, by: Detainer | None = None, now: float = 2000.0) -> RetractionReason:
    found = told(facts, by or wants(), now=now)
    assert PAIR not in found.conflicts
    assert PAIR not in found.reviews
    return found.gone[PAIR]


def test_1_booking_voided() -> None:
    void = say(Voided, 1, voids_event=BOOKED.event_id)
    assert gone(BOOKED, void) is RetractionReason.BOOKING_VOIDED
    assert gone(BOOKED, void, by=wants(state=DetainerState.LIFTED, changed=50)) is RetractionReason.BOOKING_VOIDED
    assert stands(BOOKED, void, say(Booked, 2)).stage is Stage.IN_CUSTODY


def test_2_nobody_named_yet() -> None:
    found = told([RELEASED], wants())
    assert not found.conflicts
    assert not found.reviews
    assert stands(RELEASED, say(Updated, 50, person=somebody("1"))).stage is Stage.RELEASED


def test_3_over_before_the_admission() -> None:
    """Rule 17: another booking later is no matter of a detainer that was over."""
    assert gone(BOOKED, by=wants(-100, DetainerState.LIFTED, -1)) is RetractionReason.CUSTODY_CORRECTED
    assert gone(BOOKED, by=wants(-100, DetainerState.LIFTED, 0)) is RetractionReason.DETAINER_LIFTED
    assert gone(BOOKED, by=wants(-100, DetainerState.CUSTODY_ASSUMED, -1)) is RetractionReason.CUSTODY_CORRECTED
    assert gone(BOOKED, by=wants(-100, expires=-1)) is RetractionReason.CUSTODY_CORRECTED


def test_4_lodged_within_and_beyond_the_look_back() -> None:
    assert stands(BOOKED, RELEASED, by=wants(100 + 720)).stage is Stage.RELEASED_BEFORE_DETAINER
    assert gone(BOOKED, RELEASED, by=wants(100 + 720.1)) is RetractionReason.CUSTODY_CORRECTED


def test_5_handed_over_and_died() -> None:
    handed = say(Released, 100, reason=ReleaseReason.TO_AGENCY, released_to=AGENCY)
    assert stands(BOOKED, handed).closed_because == "handed_over"
    assert stands(BOOKED, say(Died, 100)).closed_because == "died"
    assert stands(BOOKED, handed, by=wants(100)).closed_because == "handed_over"
    assert stands(BOOKED, handed, by=wants(-100, DetainerState.LIFTED, 100)).closed_because == "handed_over"
    assert gone(BOOKED, handed, by=wants(-100, DetainerState.LIFTED, 99)) is RetractionReason.DETAINER_LIFTED
    assert stands(BOOKED, handed, by=wants(-100, expires=200)).closed_because == "handed_over"
    other = say(Released, 100, reason=ReleaseReason.TO_AGENCY, released_to="USMSCT000")
    assert stands(BOOKED, other).stage is Stage.RELEASED


def test_6_custody_assumed() -> None:
    assumed = wants(-100, DetainerState.CUSTODY_ASSUMED, 500)
    assert stands(BOOKED, RELEASED, by=assumed).closed_because == "custody_assumed"
    assert stands(BOOKED, by=assumed).stage is Stage.CLOSED


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (DetainerState.LIFTED, RetractionReason.DETAINER_LIFTED),
        (DetainerState.WITHDRAWN, RetractionReason.DETAINER_WITHDRAWN),
        (DetainerState.DECLINED, RetractionReason.DETAINER_DECLINED),
        (DetainerState.SUPERSEDED, RetractionReason.DETAINER_SUPERSEDED),
        (DetainerState.EXPIRED, RetractionReason.DETAINER_EXPIRED),
        (DetainerState.CLOSED, RetractionReason.DETAINER_ENDED),
    ],
)
def test_7_over(state: DetainerState, reason: RetractionReason) -> None:
    assert gone(BOOKED, RELEASED, by=wants(-100, state, 200)) is reason


def test_7_lapsed_in_custody_and_after() -> None:
    assert gone(BOOKED, by=wants(expires=50)) is RetractionReason.DETAINER_EXPIRED
    assert gone(BOOKED, RELEASED, by=wants(expires=50)) is RetractionReason.DETAINER_EXPIRED
    assert stands(BOOKED, RELEASED, by=wants(expires=101)).stage is Stage.RELEASED


def test_7_lapses_when_due_and_not_before() -> None:
    assert stands(BOOKED, by=wants(expires=50), now=49.9).stage is Stage.IN_CUSTODY
    assert gone(BOOKED, by=wants(expires=50), now=50) is RetractionReason.DETAINER_EXPIRED
    assert stands(BOOKED, by=wants(expires=50, accepted=60), now=60.2).stage is Stage.IN_CUSTODY
    assert gone(BOOKED, by=wants(expires=50, accepted=60), now=60.25) is RetractionReason.DETAINER_EXPIRED


def test_8_hold_expired() -> None:
    """Rule 15. Noon of Friday plus 48 hours, Saturday and Sunday not counted: noon of Tuesday."""
    plan = say(ReleaseScheduled, 1, scheduled_for=at(48))
    before, after = stands(BOOKED, plan, now=143.9), stands(BOOKED, plan, now=144)
    assert (before.stage, before.hold_until, before.alerts) == (Stage.RELEASE_SCHEDULED, at(144), frozenset())
    assert (after.stage, after.hold_until, after.alerts) == (Stage.HOLD_EXPIRED, at(144), frozenset())
    late = say(ReleaseScheduled, 1, scheduled_for=at(48), accepted=144)
    assert stands(BOOKED, late, now=144.2).stage is Stage.RELEASE_SCHEDULED
    assert stands(BOOKED, late, now=144.25).stage is Stage.HOLD_EXPIRED
    ours = say(ReleaseScheduled, 1, scheduled_for=at(48), released_to=AGENCY)
    assert stands(BOOKED, ours, now=100).stage is Stage.IN_CUSTODY
    assert stands(BOOKED, ours).stage is Stage.HOLD_EXPIRED
    fled = stands(BOOKED, plan, say(Escaped, 2))
    assert (fled.stage, fled.escaped, fled.hold_until) == (Stage.RELEASE_SCHEDULED, True, None)
    assert stands(BOOKED, plan, by=wants(intent=Intent.NOTIFY_ONLY)).stage is Stage.RELEASE_SCHEDULED


def test_8_release_scheduled() -> None:
    plan = say(ReleaseScheduled, 1, scheduled_for=at(48), reason=ReleaseReason.BOND)
    found = stands(BOOKED, plan, by=wants(kind=WARRANT), now=50)
    assert (found.stage, found.scheduled_for, found.hold_until) == (Stage.RELEASE_SCHEDULED, at(48), None)
    handed = say(ReleaseScheduled, 1, scheduled_for=at(48), released_to=AGENCY)
    assert stands(BOOKED, handed, by=wants(kind=WARRANT)).stage is Stage.IN_CUSTODY


def test_8_in_custody_elsewhere_and_escaped() -> None:
    assert stands(BOOKED) == Expected(Stage.IN_CUSTODY)
    assert stands(BOOKED, say(HeldElsewhere, 5)) == Expected(Stage.IN_CUSTODY)
    assert stands(BOOKED, say(Released, 5, reason=ReleaseReason.COURT)) == Expected(Stage.IN_CUSTODY)
    assert stands(BOOKED, say(Released, 5, reason=ReleaseReason.ESCAPE)).escaped


def test_alert_of_over_detention() -> None:
    plan = say(ReleaseScheduled, 1, scheduled_for=at(48))
    by = wants(kind=WARRANT)
    assert not stands(BOOKED, plan, by=by, now=71.9).alerts
    assert stands(BOOKED, plan, by=by, now=72).alerts == {Alert.OVER_DETENTION}
    handed = say(ReleaseScheduled, 1, scheduled_for=at(48), released_to=AGENCY)
    assert stands(BOOKED, handed, by=by).alerts == {Alert.OVER_DETENTION}
    assert not stands(BOOKED, plan, say(Escaped, 2), by=by).alerts
    assert not stands(BOOKED, plan, RELEASED, by=by).alerts


def test_alert_before_the_detainer_expires() -> None:
    """Rule 20."""
    by = wants(expires=500)
    assert not stands(BOOKED, by=by, now=500 - 168.1).alerts
    assert stands(BOOKED, by=by, now=500 - 168).alerts == {Alert.DETAINER_EXPIRES}
    assert stands(BOOKED, say(Escaped, 2), by=by, now=400).alerts == {Alert.DETAINER_EXPIRES}
    assert not stands(BOOKED, RELEASED, by=by, now=400).alerts


def test_9_transferred() -> None:
    moved = say(Transferred, 100, to_facility="MASUFFK00")
    found = stands(BOOKED, moved, by=wants(100))
    assert (found.stage, found.to_facility) == (Stage.TRANSFERRED, "MASUFFK00")
    assert gone(BOOKED, moved, by=wants(101)) is RetractionReason.CUSTODY_CORRECTED
    assert stands(BOOKED, say(Released, 100, reason=ReleaseReason.TRANSFER)).stage is Stage.TRANSFERRED


def test_10_died_before_it_was_lodged() -> None:
    assert gone(BOOKED, say(Died, 100), by=wants(101)) is RetractionReason.CUSTODY_CORRECTED


def test_11_released() -> None:
    found = stands(BOOKED, RELEASED, by=wants(100))
    assert found == Expected(Stage.RELEASED, released_at=at(100), reason=ReleaseReason.BOND)


def test_11_inferred_release_stands_after_a_while() -> None:
    """Rule 10."""
    missing = say(Released, 100, inferred=True)
    assert not stands(BOOKED, missing, now=125.9).inferred_stands
    found = stands(BOOKED, missing, now=126)
    assert (found.stage, found.inferred, found.inferred_stands) == (Stage.RELEASED, True, True)
    assert not stands(BOOKED, say(Released, 100, inferred=True, accepted=130), now=130.2).inferred_stands
    assert stands(BOOKED, missing, say(Returned, 120)) == Expected(Stage.IN_CUSTODY)


def test_12_released_before_the_detainer() -> None:
    """Rule 11."""
    assert stands(BOOKED, RELEASED, by=wants(101)).stage is Stage.RELEASED_BEFORE_DETAINER
    handed = say(Released, 100, reason=ReleaseReason.TO_AGENCY, released_to=AGENCY)
    assert gone(BOOKED, handed, by=wants(101)) is RetractionReason.CUSTODY_CORRECTED


def test_hartford() -> None:
    """Released on 1 February 2023, in custody of ERO on 4 April, 62 days later: closed, whatever the look-back."""
    out = say(Released, 24)
    assert stands(BOOKED, out).stage is Stage.RELEASED
    assumed = wants(-2000, DetainerState.CUSTODY_ASSUMED, 24 + 62 * 24)
    found = stands(BOOKED, out, by=assumed)
    assert (found.stage, found.closed_because) == (Stage.CLOSED, "custody_assumed")
