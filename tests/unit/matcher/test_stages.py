"""Where a conflict stands, told as cases: the facts of a booking, the detainer, and what there is to say."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from contracts.types.conflict import RetractionReason, Stage
from contracts.types.custody import (
    Booked,
    Died,
    ElsewherePlace,
    Escaped,
    HeldElsewhere,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.stages import Standing, derive
from services.matcher.domain.terms import Terms
from tests.unit.matcher.people import AGENCY, BOOKING, FACILITY, at, detainer, fact, person

TERMS = Terms()
booked = fact(Booked, 0)


def standing(facts: list[Fact], of: Detainer) -> Standing | None:
    episode = Episode(FACILITY, BOOKING)
    for f in facts:
        episode.add(f)
    return derive(episode.view, of, TERMS, UTC, at(0)).standing


def lifted(changed: float, lodged: float = -24) -> Detainer:
    return detainer(lodged, DetainerState.LIFTED, changed)


def assumed(changed: float, lodged: float = -24) -> Detainer:
    return detainer(lodged, DetainerState.CUSTODY_ASSUMED, changed)


scheduled = fact(ReleaseScheduled, 5, scheduled_for=at(48))
released = fact(Released, 10, reason=ReleaseReason.BOND)

CASES: list[tuple[str, list[Fact], Detainer, Stage | None]] = [
    ("booked", [booked], detainer(), Stage.IN_CUSTODY),
    ("nobody named yet", [released], detainer(), None),
    ("release before its booking (rule 7)", [released, booked], detainer(), Stage.RELEASED),
    ("scheduled", [booked, scheduled], detainer(), Stage.RELEASE_SCHEDULED),
    ("scheduled to the agency itself", [booked, fact(ReleaseScheduled, 5, scheduled_for=at(48), released_to=AGENCY)],
     detainer(), Stage.IN_CUSTODY),
    ("scheduled trip to court", [booked, fact(ReleaseScheduled, 5, scheduled_for=at(9), reason=ReleaseReason.COURT)],
     detainer(), Stage.IN_CUSTODY),
    ("cancelled (rule 9)", [booked, scheduled, fact(ReleaseCancelled, 6)], detainer(), Stage.IN_CUSTODY),
    ("cancelled, scheduled anew", [booked, scheduled, fact(ReleaseCancelled, 6), fact(ReleaseScheduled, 7, scheduled_for=at(72))],
     detainer(), Stage.RELEASE_SCHEDULED),
    ("released", [booked, scheduled, released], detainer(), Stage.RELEASED),
    ("released to the agency", [booked, fact(Released, 10, released_to=AGENCY)], detainer(), Stage.CLOSED),
    ("released to another agency", [booked, fact(Released, 10, released_to="NYPD00001")], detainer(), Stage.RELEASED),
    ("release voided", [booked, released, fact(Voided, 11, voids_event=released.event_id)], detainer(), Stage.IN_CUSTODY),
    ("void of the void", [booked, released, fact(Voided, 11, voids_event=released.event_id),
     fact(Voided, 12, voids_event="voided-11-0")], detainer(), Stage.RELEASED),
    ("booking voided", [booked, fact(Voided, 1, voids_event=booked.event_id)], detainer(), Stage.RETRACTED),
    ("corrected: to the agency after all (rule 8)", [booked, released, fact(Released, 10, sequence=1, released_to=AGENCY)],
     detainer(), Stage.CLOSED),
    ("inferred release", [booked, fact(Released, 24, inferred=True)], detainer(), Stage.RELEASED),
    ("inferred after a reported hand-over (rule 10)", [booked, fact(Released, 10, released_to=AGENCY),
     fact(Released, 24, inferred=True)], detainer(), Stage.CLOSED),
    ("inferred wrongly", [booked, fact(Released, 24, inferred=True), fact(Returned, 48)], detainer(), Stage.IN_CUSTODY),
    ("trip to court (rule 6)", [booked, fact(HeldElsewhere, 5, place=ElsewherePlace.COURT)], detainer(), Stage.IN_CUSTODY),
    ("trip to court, reported as a release", [booked, fact(Released, 5, reason=ReleaseReason.COURT)], detainer(),
     Stage.IN_CUSTODY),
    ("escaped", [booked, fact(Escaped, 5)], detainer(), Stage.IN_CUSTODY),
    ("transferred (rule 5)", [booked, fact(Transferred, 5, to_facility="CTMACDGL0")], detainer(), Stage.TRANSFERRED),
    ("died", [booked, fact(Died, 5)], detainer(), Stage.CLOSED),
    ("died, then a clerk's release", [booked, fact(Died, 5), fact(Released, 6)], detainer(), Stage.CLOSED),
    ("a booking sent again later is no return", [booked, released, fact(Booked, 12)], detainer(), Stage.RELEASED),
    ("booked once more by a clerk after the hand-over and the lift", [booked, fact(Released, 10, released_to=AGENCY),
     fact(Booked, 20)], lifted(12), Stage.CLOSED),
    ("booked once more by a clerk after custody was assumed", [booked, released, fact(Booked, 200)], assumed(100), Stage.CLOSED),
    ("booked twice, and the first is voided", [booked, fact(Booked, 20), fact(Voided, 21, voids_event=booked.event_id)],
     lifted(5), None),
    ("late detainer (rule 11)", [booked, released], detainer(12), Stage.RELEASED_BEFORE_DETAINER),
    ("too late a detainer", [booked, released], detainer(10 + 31 * 24), None),
    ("late detainer, handed over before", [booked, fact(Released, 10, released_to=AGENCY)], detainer(12), None),
    ("detainer after the transfer", [booked, fact(Transferred, 5, to_facility="CTMACDGL0")], detainer(12), None),
    ("detainer after the death", [booked, fact(Died, 5)], detainer(12), None),
    ("lifted in custody", [booked], lifted(5), Stage.RETRACTED),
    ("lifted after the release", [booked, released], lifted(20), Stage.RETRACTED),
    ("lifted after the hand-over", [booked, fact(Released, 10, released_to=AGENCY)], lifted(20), Stage.CLOSED),
    ("lifted before the hand-over", [booked, fact(Released, 10, released_to=AGENCY)], lifted(5), Stage.RETRACTED),
    ("lifted before the booking (rule 17)", [booked], lifted(-5), None),
    ("custody assumed after the release", [booked, released], assumed(100), Stage.CLOSED),
    ("custody assumed, then booked again", [booked], assumed(-2), None),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "of", "stage"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_stage(facts: list[Fact], of: Detainer, stage: Stage | None) -> None:
    got = standing(facts, of)
    assert (got.stage if got else None) is stage


@pytest.mark.parametrize(("facts", "of", "stage"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_order_of_arrival_does_not_matter(facts: list[Fact], of: Detainer, stage: Stage | None) -> None:
    assert standing(facts[::-1], of) == standing(facts, of) == standing([*facts, *facts], of)


def test_reason_of_a_retraction() -> None:
    withdrawn = detainer(-24, DetainerState.WITHDRAWN, 5)
    for of, reason in (
        (lifted(5), RetractionReason.DETAINER_LIFTED),
        (withdrawn, RetractionReason.DETAINER_WITHDRAWN),
        (detainer(-24, DetainerState.DECLINED, 5), RetractionReason.DETAINER_DECLINED),
        (detainer(-24, DetainerState.SUPERSEDED, 5), RetractionReason.DETAINER_SUPERSEDED),
        (detainer(-24, DetainerState.EXPIRED, 5), RetractionReason.DETAINER_EXPIRED),
        (detainer(-24, DetainerState.CLOSED, 5), RetractionReason.DETAINER_ENDED),
    ):
        got = standing([booked], of)
        assert got is not None
        assert got.retraction is reason


def test_the_release_is_told_as_it_was_reported() -> None:
    got = standing([booked, fact(Released, 10, reason=ReleaseReason.PAROLE, released_to="NYPD00001")], detainer())
    assert got is not None
    assert got.release is not None
    assert (got.release.released_at, got.release.reason, got.release.released_to, got.release.inferred) == (
        at(10), ReleaseReason.PAROLE, "NYPD00001", False,
    )  # fmt: skip


def test_escape_is_told_and_a_court_trip_is_not() -> None:
    in_custody = standing([booked], detainer())
    assert standing([booked, fact(HeldElsewhere, 5)], detainer()) == in_custody
    assert standing([booked, fact(Escaped, 5)], detainer()) != in_custody


def test_names_are_kept_and_a_corrected_identifier_replaces_its_kind() -> None:
    episode = Episode(FACILITY, BOOKING)
    episode.add(booked)
    corrected: dict[str, Any] = {"person": person("Quillfether", sid="7654321", ucn="ABC123D4")}
    episode.add(fact(Updated, 1, **corrected))
    who = episode.view.person
    assert who is not None
    assert [n.surname for n in who.names] == ["Quillfether", "Quillfeather"]
    assert sorted(i.value for i in who.identifiers) == ["7654321", "ABC123D4"]


def test_one_id_with_two_contents_keeps_the_newer() -> None:
    first, second = fact(Released, 10, "same"), fact(Released, 11, "same")
    for order in ([booked, first, second], [booked, second, first]):
        got = standing(order, detainer())
        assert got is not None
        assert got.release is not None
        assert got.release.released_at == at(11)
