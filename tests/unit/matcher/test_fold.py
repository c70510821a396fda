"""The fold: versions, both directions of the join, reviews, retractions, and G2 as a property."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ids import episode_id
from contracts.types.common import Tier
from contracts.types.conflict import Conflict, RetractionReason, Review, ReviewStatus, Stage
from contracts.types.custody import (
    Booked,
    Escaped,
    ReleaseCancelled,
    Released,
    ReleaseScheduled,
    Returned,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState, DetainerType
from contracts.types.person import Person, PersonName
from services.matcher.adapters.changelog import encode_episode, load_episode
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.fold import CustodyInput, DetainerInput, ModelInput, evolve
from services.matcher.domain.identity.keys import PASSES
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.partition import PartitionState
from services.matcher.domain.rules import CITIZENSHIP
from services.matcher.identity_model import load_model
from tests.unit.matcher.people import AGENCY, BOOKING, FACILITY, at, detainer, fact, person

LOOK_BACK = timedelta(days=30)
ENGINE = WeighedEngine(load_model())
EPISODE = episode_id(FACILITY, BOOKING)


class World:
    """A book and one partition, driven by hand."""

    def __init__(self, engine: WeighedEngine = ENGINE) -> None:
        self.book = DetainerBook(engine)
        self.state = PartitionState(self.book, LOOK_BACK)
        self.conflicts: list[Conflict] = []
        self.reviews: list[Review] = []
        self.changed: set[str] = set()
        self._offset = 0

    def take(self, *inputs: Fact | Detainer) -> World:
        for given_input in inputs:
            if isinstance(given_input, Fact):
                out = evolve(self.state, CustodyInput(given_input, EPISODE), at(1000))
            else:
                self._offset += 1
                self.book.put(given_input, 0, self._offset)
                out = evolve(self.state, DetainerInput(given_input.detainer_id), at(1000))
            self.conflicts += out.conflicts
            self.reviews += out.reviews
        return self

    def restarted(self, engine: WeighedEngine | None = None) -> World:
        """The same world after a crash: only what the changelog holds is left, and the detainers. engine: another."""
        again = World(engine or ENGINE)
        if engine is None:
            again.book = self.book
        else:
            for detainer_id in self.book.since({}):
                entry = self.book.get(detainer_id)
                assert entry is not None
                again.book.put(entry.detainer, entry.partition, entry.offset)
        again.state = PartitionState(again.book, LOOK_BACK)
        for episode in self.state.episodes.values():
            load_episode(again.state, encode_episode(self.state, episode))
        again._offset = self._offset
        return again

    def judge_again(self, model: str) -> World:
        """What a lane does after it has restored a partition that `model` had judged."""
        for stale in self.state.judged_by_others(model):
            out = evolve(self.state, ModelInput(stale), at(1000))
            self.conflicts += out.conflicts
            self.reviews += out.reviews
            self.changed |= out.changed
        return self

    def stages(self) -> list[tuple[int, Stage]]:
        return [(c.version, c.stage) for c in self.conflicts]

    def final(self) -> tuple[object, object]:
        """What stands at the end. Retracted is as if it had never been: whether it was told at all may depend on
        the order, what is true at the end may not."""
        standings = {
            (episode_id, detainer_id): (pair.told, pair.told_tier)
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.told is not None and pair.told.stage is not Stage.RETRACTED
        }
        open_reviews = {
            (episode_id, detainer_id): pair.review
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.review is not None
        }
        return standings, open_reviews


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


def test_a_detainer_moved_to_another_person_is_retracted() -> None:
    """Withdrawn from this one, in effect: the amendment names somebody else (G6)."""
    somebody_else = person("Ottermole", "Vashti", "1971-12-01", sid="7777777")
    world = World().take(detainer(), fact(Booked, 0), detainer(-24, changed=1, who=somebody_else, sequence=1))
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.RETRACTED)]


# -- inputs to draw from ---------------------------------------------------------------------------------------------

_booked = fact(Booked, 0)
_released = fact(Released, 10)
FACTS: list[Fact] = [
    _booked,
    fact(Updated, 1, person=person(ucn="XY12")),
    fact(Updated, 2, person=person("Quillfether", sid="9999999")),
    fact(ReleaseScheduled, 3, scheduled_for=at(9)),
    fact(ReleaseCancelled, 4),
    fact(ReleaseScheduled, 5, scheduled_for=at(10)),
    _released,
    fact(Released, 10, sequence=1, released_to=AGENCY),
    fact(Released, 24, inferred=True),
    fact(Returned, 11),
    fact(Escaped, 12),
    fact(Transferred, 13, to_facility="CTMACDGL0"),
    fact(Voided, 14, voids_event=_released.event_id),
    fact(Voided, 15, voids_event=_booked.event_id),
    fact(Voided, 16, voids_event="voided-15-0"),
]
DETAINERS: list[Detainer] = [
    detainer(-24),
    detainer(-24, changed=6, sequence=1, who=person(ucn="XY12")),
    detainer(-24, DetainerState.LIFTED, changed=9),
    detainer(-24, DetainerState.CUSTODY_ASSUMED, changed=30),
    detainer(12, reference="D-2", agency="NYPROB001", who=person(sid=None)),
]
inputs_of: st.SearchStrategy[list[Fact | Detainer]] = st.lists(
    st.sampled_from([*FACTS, *DETAINERS]), min_size=2, max_size=12, unique_by=id
)


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
    chosen = data.draw(inputs_of)
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


# -- G2: whatever the order ------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(inputs_of.flatmap(lambda chosen: st.tuples(st.just(chosen), st.permutations(chosen), st.data())))
def test_same_facts_same_conflicts(
    drawn: tuple[Sequence[Fact | Detainer], Sequence[Fact | Detainer], st.DataObject],
) -> None:
    chosen, shuffled, data = drawn
    expected = World().take(*chosen).final()
    repeated = [x for item in shuffled for x in [item] * data.draw(st.integers(1, 2))]
    cut = data.draw(st.integers(0, len(repeated)))
    world = World().take(*repeated[:cut]).restarted().take(*repeated[cut:])
    assert world.final() == expected


@settings(max_examples=200, deadline=None)
@given(inputs_of, st.data())
def test_versions_have_no_gaps_and_survive_a_restart(chosen: list[Fact | Detainer], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(chosen)))
    before = World().take(*chosen[:cut])
    after = before.restarted().take(*chosen[cut:])
    straight = World().take(*chosen)
    versions: dict[str, list[int]] = {}
    for conflict in [*before.conflicts, *after.conflicts]:
        versions.setdefault(conflict.conflict_id, []).append(conflict.version)
    assert all(got == list(range(1, len(got) + 1)) for got in versions.values())
    assert [*before.conflicts, *after.conflicts] == straight.conflicts
