"""The fold when what is known of identities changes: another model (ADR 11), and claims of citizenship (rule 21)."""

from __future__ import annotations

from itertools import pairwise, permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.types.common import Tier
from contracts.types.conflict import RetractionReason, ReviewStatus, Stage
from contracts.types.custody import (
    Booked,
    Merged,
    Unmerged,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerType
from contracts.types.person import Person, PersonName
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.identity.keys import PASSES
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.rules import CITIZENSHIP
from services.matcher.identity_model import load_model
from tests.unit.matcher.histories import histories
from tests.unit.matcher.people import FACILITY, detainer, fact, person, sid
from tests.unit.matcher.world import ENGINE, EPISODE, World

# -- another identity model (ADR 11) -----------------------------------------------------------------------------------

NUMBERED = person(sid=None, ssn4="4821")
"""Name, birth date, sex and four digits: PROBABLE by the model shipped."""


def _engine(**changed: float) -> WeighedEngine:
    return WeighedEngine(msgspec.structs.replace(load_model(), **changed))


STRICTER = _engine(probable=1.0)
WARY = _engine(possible=0.999)
LAXER = _engine(possible=1e-9)


def test_a_stricter_model_takes_back_what_the_old_one_told() -> None:
    before = World().take(detainer(who=NUMBERED), fact(Booked, 0, person=NUMBERED))
    assert [(c.stage, c.identity.tier) for c in before.conflicts] == [(Stage.IN_CUSTODY, Tier.PROBABLE)]
    after = before.restarted(STRICTER).judge_again(ENGINE.model)
    assert after.stages() == [(2, Stage.RETRACTED)]
    assert after.conflicts[0].retraction is RetractionReason.IDENTITY_CHANGED
    assert after.conflicts[0].cause.kind == "identity_model"
    assert after.conflicts[0].cause.event_id == after.conflicts[0].identity.model == STRICTER.model
    assert [r.status for r in after.reviews] == [ReviewStatus.OPEN]
    assert after.changed == {EPISODE}


def test_a_laxer_model_finds_whom_the_old_one_had_dropped() -> None:
    """NONE leaves no pair behind: so it is the episodes that are asked again, and not the pairs."""
    near = person("Quillfeather", "Orsolo", "1971-12-09", sid=None)
    before = World(WARY).take(detainer(who=person(sid=None)), fact(Booked, 0, person=near))
    assert not before.reviews
    after = before.restarted(LAXER).judge_again(WARY.model)
    assert [(r.status, r.identity.model) for r in after.reviews] == [(ReviewStatus.OPEN, LAXER.model)]


def test_the_same_model_asks_nothing_again() -> None:
    before = World().take(detainer(), fact(Booked, 0))
    assert before.restarted().state.judged_by_others(ENGINE.model) == []


def test_work_of_a_third_model_that_was_cut_short_is_found_by_its_pairs() -> None:
    """The partition's progress still names the model before it, and that is ours."""
    before = World().take(detainer(who=NUMBERED), fact(Booked, 0, person=NUMBERED))
    half = before.restarted(STRICTER).judge_again(ENGINE.model)
    back = half.restarted(ENGINE)
    assert back.state.judged_by_others(ENGINE.model) == [EPISODE]
    assert back.judge_again(ENGINE.model).stages() == [(3, Stage.IN_CUSTODY)]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_change_of_model_ends_where_the_new_model_alone_would_have(data: st.DataObject) -> None:
    chosen = data.draw(histories())
    cut = data.draw(st.integers(0, len(chosen)))
    engine = data.draw(st.sampled_from([STRICTER, LAXER]))
    changed = World().take(*chosen[:cut]).restarted(engine).judge_again(ENGINE.model).take(*chosen[cut:])
    assert changed.final() == World(engine).take(*chosen).final()


def test_a_known_pair_is_judged_by_its_two_records_whatever_else_is_in_the_index() -> None:
    """A search leaves out a block that has grown too large. What was found before must not be taken back (G2)."""
    who = Person(names=[PersonName(surname="Quillfeather", given="Orsolo")])
    world = World(LAXER).take(detainer(who=who), fact(Booked, 0, person=who))
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN]
    for number in range(max(kind.cap for kind in PASSES) + 1):
        namesake = Episode(FACILITY, f"X-{number}")
        namesake.add(fact(Booked, 0, person=who))
        world.state.restore(namesake, {})
    assert EPISODE not in {found.record_id for found in world.state.search(LAXER.prepare(who))}
    world.take(detainer(changed=2, who=who, sequence=1))
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN]


# -- rule 21: a claim of US citizenship --------------------------------------------------------------------------------


def _claiming(who: Person, claimed: bool | None = True) -> Person:
    return msgspec.structs.replace(who, us_citizenship_claimed=claimed)


CLAIM = fact(Updated, 3, person=Person(us_citizenship_claimed=True))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_claim_of_citizenship_sends_an_immigration_detainer_to_review(order: tuple[int, ...]) -> None:
    """Fingerprints agree; whichever comes first, nothing stands but the question."""
    inputs: list[Fact | Detainer] = [detainer(), fact(Booked, 0), CLAIM]
    world = World().take(*(inputs[i] for i in order))
    assert world.final()[0] == {}
    assert world.reviews[-1].status is ReviewStatus.OPEN
    assert world.reviews[-1].identity.tier is Tier.POSSIBLE
    assert world.reviews[-1].identity.vetoes == [CITIZENSHIP]
    assert world.reviews[-1].custody_side.person.us_citizenship_claimed
    assert {e.field: e.outcome for e in world.reviews[-1].identity.evidence}["sid"] == "agrees"


def test_a_voided_booking_says_so_though_nobody_is_known_any_more() -> None:
    booked = fact(Booked, 0)
    world = World().take(detainer(), booked, fact(Voided, 1, voids_event=booked.event_id))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]
    assert world.conflicts[-1].retraction is RetractionReason.BOOKING_VOIDED


def test_a_claim_takes_back_what_was_told_and_its_void_brings_it_back() -> None:
    world = World().take(detainer(), fact(Booked, 0), CLAIM)
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]
    assert world.conflicts[-1].retraction is RetractionReason.IDENTITY_CHANGED
    world.take(fact(Updated, 4, person=_claiming(person(), False)))
    assert len(world.conflicts) == 2, "a clerk who did not ask takes no claim back"
    world.take(fact(Voided, 5, voids_event=CLAIM.event_id))
    assert world.stages()[-1] == (3, Stage.IN_CUSTODY)
    assert world.reviews[-1].status is ReviewStatus.WITHDRAWN


def test_a_claim_that_the_agency_itself_records_counts_until_it_amends() -> None:
    world = World().take(detainer(who=_claiming(person())), fact(Booked, 0))
    assert not world.conflicts
    assert [r.identity.vetoes for r in world.reviews] == [[CITIZENSHIP]]
    world.take(detainer(changed=2, sequence=1, who=person()))
    assert world.stages() == [(1, Stage.IN_CUSTODY)]


def test_a_claim_is_no_matter_for_a_warrant_and_makes_no_hit_of_a_stranger() -> None:
    warrant = msgspec.structs.replace(detainer(), type=DetainerType.OUT_OF_STATE_WARRANT)
    assert World().take(warrant, fact(Booked, 0), CLAIM).stages() == [(1, Stage.IN_CUSTODY)]
    stranger = _claiming(person("Ottermole", "Vashti", "1971-12-01", sid="7777777"))
    assert not World().take(detainer(), fact(Booked, 0, person=stranger)).reviews


# -- merges (rule 3) ---------------------------------------------------------------------------------------------------


def test_a_merge_joins_records_and_its_end_parts_them() -> None:
    """The detainer has the number that was absorbed, the booking the one that lives on; however they are spelled."""
    old, new = sid("1234567"), sid("7654321")
    world = World().take(detainer(), fact(Booked, 0, person=person(sid="7654321")))
    assert not world.conflicts, "two SIDs of one state"
    world.take(fact(Merged, 5, absorbed=sid("CT01234567"), surviving=new))
    assert [(c.stage, c.identity.tier) for c in world.conflicts] == [(Stage.IN_CUSTODY, Tier.CONFIRMED)]
    world.take(fact(Unmerged, 6, absorbed=old, surviving=sid("07654321")))
    assert world.stages()[-1] == (2, Stage.RETRACTED)
    assert world.conflicts[-1].retraction is RetractionReason.IDENTITY_CHANGED
    assert world.reviews[-1].status is ReviewStatus.OPEN


def test_merges_chain() -> None:
    world = World().take(detainer(), fact(Booked, 0, person=person(sid="3000000")))
    chain = [sid("1234567"), sid("2000000"), sid("3000000")]
    for hours, (one, other) in enumerate(pairwise(chain)):
        assert not world.conflicts
        world.take(fact(Merged, 5 + hours, absorbed=one, surviving=other))
    assert world.stages() == [(1, Stage.IN_CUSTODY)]
