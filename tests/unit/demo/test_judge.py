"""The judge can say no: each way in which a run may be wrong shows, so that 0 missing and 0 extra mean something."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import msgspec
import pytest

from contracts.ids import conflict_id
from contracts.types.conflict import Conflict, Review, ReviewStatus, Stage
from deploy.demo.judge import Verdict, judge
from deploy.demo.outside import Arrival
from deploy.demo.world.generate import World, generate
from tests.unit.demo.support import NOW, arrivals_of, fold


@cache
def world() -> World:
    return generate(3, 600, now=NOW)


@cache
def faultless() -> tuple[list[Conflict], list[Review], list[Arrival]]:
    folded = fold(world())
    return folded.conflicts, folded.reviews, arrivals_of(folded.conflicts)


def run() -> SimpleNamespace:
    """A run without a fault, to be spoilt."""
    conflicts, reviews, arrivals = faultless()
    return SimpleNamespace(
        expected=list(world().expected),
        conflicts=list(conflicts),
        reviews=list(reviews),
        arrivals=list(arrivals),
    )


def verdict(given: SimpleNamespace) -> Verdict:
    return judge(given.expected, given.conflicts, given.reviews, given.arrivals)


def last_of(given: SimpleNamespace, stage: Stage) -> int:
    newest = {c.conflict_id: index for index, c in enumerate(given.conflicts)}
    return next(index for index in newest.values() if given.conflicts[index].stage is stage)


def test_a_run_without_a_fault_holds() -> None:
    found = verdict(run())
    assert (found.missing, found.extra) == ([], [])
    assert found.holds
    assert found.repeats == {}
    assert sum(found.stages.values()) == sum(1 for e in world().expected if e.is_told)
    assert found.open_reviews == sum(1 for e in world().expected if e.is_asked)


def a_webhook_lost(given: SimpleNamespace) -> None:
    conflict = given.conflicts[last_of(given, Stage.RELEASED)]
    given.arrivals = [
        a for a in given.arrivals
        if b'"version":%d' % conflict.version not in bytes(a.body) or conflict.conflict_id.encode() not in bytes(a.body)
    ]  # fmt: skip


def a_version_lost(given: SimpleNamespace) -> None:
    gone = given.conflicts.pop(last_of(given, Stage.RELEASED))
    given.arrivals = [a for a in given.arrivals if gone.conflict_id.encode() not in bytes(a.body)]


def a_conflict_never_made(given: SimpleNamespace) -> None:
    gone = given.conflicts[last_of(given, Stage.IN_CUSTODY)].conflict_id
    given.conflicts = [c for c in given.conflicts if c.conflict_id != gone]
    given.arrivals = [a for a in given.arrivals if gone.encode() not in bytes(a.body)]


def a_review_never_opened(given: SimpleNamespace) -> None:
    name = next(r.review_id for r in reversed(given.reviews) if r.status is ReviewStatus.OPEN)
    given.reviews = [r for r in given.reviews if r.review_id != name]


def a_retraction_not_told(given: SimpleNamespace) -> None:
    given.arrivals = [a for a in given.arrivals if b"notice.retracted" not in bytes(a.body)]


def a_gap_in_the_versions(given: SimpleNamespace) -> None:
    later = {c.conflict_id for c in given.conflicts if c.version == 2}
    del given.conflicts[next(i for i, c in enumerate(given.conflicts) if c.version == 1 and c.conflict_id in later)]


@pytest.mark.parametrize(
    "spoil",
    [
        a_webhook_lost,
        a_version_lost,
        a_conflict_never_made,
        a_review_never_opened,
        a_retraction_not_told,
        a_gap_in_the_versions,
    ],
)
def test_what_is_missing_is_found(spoil: Callable[[SimpleNamespace], None]) -> None:
    given = run()
    spoil(given)
    assert verdict(given).missing


def a_version_twice(given: SimpleNamespace) -> None:
    given.conflicts.append(given.conflicts[0])


def a_version_that_says_nothing_new(given: SimpleNamespace) -> None:
    """As of a matcher that after a restart does not know what it has said, and has looked at the evidence anew."""
    last = given.conflicts[last_of(given, Stage.RELEASED)]
    identity = msgspec.structs.replace(last.identity, evidence=[], model="another")
    changed = {"version": last.version + 1, "previous_stage": last.stage, "decided_at": NOW, "identity": identity}
    given.conflicts.append(msgspec.structs.replace(last, **changed))
    given.arrivals = arrivals_of(given.conflicts)


def a_stranger_told(given: SimpleNamespace) -> None:
    name = conflict_id(world().expected[0].detainer_id, "epi_" + "a" * 24)
    given.conflicts.append(msgspec.structs.replace(given.conflicts[0], conflict_id=name, version=1))


def a_question_told(given: SimpleNamespace) -> None:
    name = next(e.conflict_id for e in world().expected if e.is_asked)
    given.conflicts.append(msgspec.structs.replace(given.conflicts[0], conflict_id=name, version=1))


def told_to_another_agency(given: SimpleNamespace) -> None:
    given.arrivals[0] = msgspec.structs.replace(given.arrivals[0], to="TXTRAVS99")


def a_signature_wrong(given: SimpleNamespace) -> None:
    given.arrivals.append(msgspec.structs.replace(given.arrivals[0], verified=False))


def a_webhook_of_no_version(given: SimpleNamespace) -> None:
    gone = given.conflicts[last_of(given, Stage.RELEASED)]
    given.conflicts = [c for c in given.conflicts if c is not gone]


def a_review_of_a_stranger(given: SimpleNamespace) -> None:
    given.reviews.append(msgspec.structs.replace(given.reviews[0], review_id="rev_" + "a" * 24))


@pytest.mark.parametrize(
    "spoil",
    [
        a_version_twice,
        a_version_that_says_nothing_new,
        a_stranger_told,
        a_question_told,
        told_to_another_agency,
        a_signature_wrong,
        a_webhook_of_no_version,
        a_review_of_a_stranger,
    ],
)
def test_what_is_extra_is_found(spoil: Callable[[SimpleNamespace], None]) -> None:
    given = run()
    spoil(given)
    assert verdict(given).extra


def test_a_webhook_that_comes_again_is_counted_and_is_no_fault() -> None:
    given = run()
    given.arrivals += [given.arrivals[0]] * 2
    found = verdict(given)
    assert found.holds
    assert found.repeats == {given.arrivals[0].id: 2}


def test_e_mail_is_wanted_of_those_who_have_it() -> None:
    given = run()
    agency = next(e.agency for e in world().expected if e.is_told and e.stage is Stage.RELEASED)
    found = judge(given.expected, given.conflicts, given.reviews, given.arrivals, [agency])
    assert any("e-mail" in line for line in found.missing)
