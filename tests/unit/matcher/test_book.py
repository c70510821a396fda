"""The book of detainers: an index built at once, while versions come, is the one that grows version by version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types.detainer import Detainer, DetainerState
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model
from tests.unit.matcher.people import detainer, person

ENGINE = WeighedEngine(load_model())
PEOPLE = [person(), person("Ottermole", "Vashti", "1971-12-01", sid="7777777"), person("Quillfether", sid=None)]
VERSIONS: list[Detainer] = [
    detainer(
        changed=float(hour), sequence=hour, reference=f"D-{hour % 3}", who=PEOPLE[(hour + hour // 3) % 3], state=state
    )
    for hour, state in enumerate([DetainerState.ACTIVE, DetainerState.SUPERSEDED, DetainerState.LIFTED] * 4)
]


def answers(book: DetainerBook) -> list[object]:
    return [list(book.search(ENGINE.prepare(who))) for who in PEOPLE]


@given(st.lists(st.sampled_from(VERSIONS), max_size=12), st.data())
def test_built_at_once_or_one_by_one(versions: list[Detainer], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(versions)))
    second = data.draw(st.integers(first, len(versions)))
    plain, built = DetainerBook(ENGINE), DetainerBook(ENGINE)
    for offset, version in enumerate(versions):
        plain.put(version, 0, offset)
    built.collect()
    people = None
    for offset, version in enumerate(versions):
        if offset == first:
            people = built.collected()
        if offset == second:
            built.build(people if people is not None else built.collected())
            built.finish()
        built.put(version, 0, offset)
    if second == len(versions):
        built.build(people if people is not None else built.collected())
        built.finish()
    assert answers(built) == answers(plain)
    assert built.since({}) == plain.since({})
    assert len(built) == len(plain)


def test_a_book_in_use_is_not_collected_anew() -> None:
    book = DetainerBook(ENGINE)
    book.put(detainer(), 0, 0)
    with pytest.raises(AssertionError, match="in use"):
        book.collect()
