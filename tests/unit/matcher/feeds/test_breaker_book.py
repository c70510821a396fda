"""What an operator's decision is about: which releases a breaker holds, and which it lets go or discards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.types.feed import Breaker, BreakerState
from services.matcher.domain.feeds.breaker import BreakerBook
from tests.unit.matcher.feeds.breakers import MINUTE, NOON, SECOND, breaker
from tests.unit.matcher.people import FACILITY, at

DECISIONS = [
    breaker(state, decided_at=NOON + n * MINUTE)
    for state in (BreakerState.RELEASED, BreakerState.DISCARDED)
    for n in (1, 2)
]


def test_a_tripped_breaker_holds_releases_from_since_on() -> None:
    book = BreakerBook()
    assert book.ruling(FACILITY, NOON, NOON) is None
    assert book.put(breaker())
    assert not book.put(breaker())
    assert book.ruling(FACILITY, NOON, at(99)) is BreakerState.TRIPPED
    assert book.ruling(FACILITY, NOON - SECOND, at(99)) is None
    assert book.ruling("CTBRIDG00", NOON, NOON) is None
    assert (book.open(FACILITY), book.discarded(FACILITY)) == ([breaker()], [])


def test_a_decision_is_about_what_was_accepted_until_then() -> None:
    book = BreakerBook()
    book.put(breaker())
    discarded = breaker(BreakerState.DISCARDED, decided_at=NOON + MINUTE)
    assert book.put(discarded)
    assert (book.open(FACILITY), book.discarded(FACILITY)) == ([], [discarded])
    assert book.ruling(FACILITY, NOON, NOON + MINUTE) is BreakerState.DISCARDED
    assert book.ruling(FACILITY, NOON, NOON + MINUTE + SECOND) is None
    assert book.ruling(FACILITY, NOON - SECOND, NOON) is None


def test_a_decision_stays_and_another_one_replaces_it() -> None:
    book = BreakerBook()
    book.put(breaker(BreakerState.RELEASED, decided_at=NOON + MINUTE))
    assert not book.put(breaker())
    assert book.ruling(FACILITY, NOON, NOON) is BreakerState.RELEASED
    assert book.put(breaker(BreakerState.DISCARDED, decided_at=NOON + 2 * MINUTE))
    assert book.ruling(FACILITY, NOON, NOON) is BreakerState.DISCARDED


@given(st.lists(st.sampled_from(DECISIONS), max_size=6), st.integers(0, 6))
def test_a_compacted_topic_tells_the_same_as_the_whole_one(decisions: list[Breaker], kept_from: int) -> None:
    """A trip is written once, before anybody can decide on it. Of what follows, compaction may leave only the last."""
    said = [breaker(), *decisions]
    whole, compacted = BreakerBook(), BreakerBook()
    for one in said:
        whole.put(one)
    for one in said[min(kept_from, len(said) - 1) :]:
        compacted.put(one)
    assert whole.of(FACILITY) == compacted.of(FACILITY) == [said[-1]]


def test_of_several_the_earliest_decision_that_covers_a_release_counts() -> None:
    book = BreakerBook()
    first = breaker(BreakerState.RELEASED, NOON, NOON + 5 * MINUTE, name=f"brk_{'b' * 24}")
    second = breaker(since=NOON - 30 * MINUTE)
    book.put(second)
    book.put(first)
    told, later, earlier = (NOON, NOON + MINUTE), (NOON, NOON + 6 * MINUTE), (NOON - MINUTE, NOON)
    assert [book.ruling(FACILITY, *one) for one in (told, later, earlier)] == [
        BreakerState.RELEASED,
        BreakerState.TRIPPED,
        BreakerState.TRIPPED,
    ]
    book.put(breaker(BreakerState.DISCARDED, NOON - 30 * MINUTE, NOON + 10 * MINUTE))
    assert [book.ruling(FACILITY, *one) for one in (told, later, earlier)] == [
        BreakerState.RELEASED,
        BreakerState.DISCARDED,
        BreakerState.DISCARDED,
    ]
