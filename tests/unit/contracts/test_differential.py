"""Schema and type give the same verdict on documents that nobody thought of: examples, damaged at random.

Three differences are known, and no further ones are tolerated. They are about spelling, the type is the laxer in the
first and the schema in the other two, and what is written afterwards is in the strict form in every case:
`2024-01-01 00:00:00Z` and `...+0500` (RFC 3339 wants the T and the colon), integers written `1.0`, and numbers that
no double can hold (`1e400`).
"""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.catalog import load_schema
from tests.unit.contracts.support import TYPES, decoder, examples, load, type_takes, validator

VALID: dict[str, list[Any]] = {name: [load(p) for n, p in examples() if n == name] for name in TYPES}


def words(node: Any) -> set[str]:
    """Every enum member and constant of a schema: what a value of the wrong field looks like."""
    if isinstance(node, list):
        return {word for item in node for word in words(item)}
    if not isinstance(node, dict):
        return set()
    own = {w for w in [*node.get("enum", []), node.get("const")] if isinstance(w, str)}
    return own | {word for value in node.values() for word in words(value)}


WORDS = sorted({word for name in TYPES for word in words(load_schema(f"{name}.json"))})
INSTANTS = [
    "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01t00:00:00z", "2024-01-01T00:00:00", "2024-01-01",
    "2024-01-01T24:00:00Z", "2016-12-31T23:59:60Z", "2024-01-01T00:00:00.123456789Z", "2024-01-01T00:00:00+23:59",
    "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00-00:00", "2024-01-01T00:00Z", "2024-13-01T00:00:00Z",
    "2024-01-01T00:00:00Z\n", " 2024-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "1900-01-01T00:00:00Z",
    "2999-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00",
    "02024-01-01T00:00:00Z", "1704067200",
]  # fmt: skip

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-2, max_value=3),
    st.sampled_from([2**53 - 1, 2**53, -(2**53), 2**64]),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer()),
    st.sampled_from(WORDS),
    st.sampled_from(INSTANTS),
    st.sampled_from(["", "x", "X0", "ABC\n", "YQ==", "YQ", "1987", "1987-13", "M", "é" * 65, "x" * 129, "X" * 33]),
    st.text(max_size=210),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["kind", "value", "surname", "x"]), SCALARS, max_size=2),
)


def spots(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [spot for key, value in items for spot in [(*path, key), *spots(value, (*path, key))]]


@st.composite
def damaged(draw: st.DrawFn, name: str) -> Any:
    document = copy.deepcopy(draw(st.sampled_from(VALID[name])))
    for _ in range(draw(st.integers(min_value=1, max_value=2))):
        here = spots(document)
        if not here:
            break
        *way, last = draw(st.sampled_from(here))
        parent = document
        for step in way:
            parent = parent[step]
        match draw(st.sampled_from(["drop", "replace", "suffix", "extra", "repeat"])):
            case "drop":
                del parent[last]
            case "suffix" if isinstance(parent[last], str):
                parent[last] += draw(st.sampled_from(["\n", " ", "x", "Z", "0", "\u0000"]))
            case "extra" if isinstance(parent, dict):
                parent[draw(st.sampled_from(["x_extra", "kind", "person", "note"]))] = draw(VALUES)
            case "repeat" if isinstance(parent[last], list) and parent[last]:
                parent[last] *= draw(st.sampled_from([5, 21, 51, 101]))
            case _:
                parent[last] = draw(VALUES)
    return document


@pytest.mark.parametrize("name", TYPES)
def test_schema_and_type_give_the_same_verdict(name: str) -> None:
    verdicts = {True: 0, False: 0}

    @settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(damaged(name))
    def agree(document: Any) -> None:
        by_schema = validator(name).is_valid(document)
        assert type_takes(name, document) == by_schema
        verdicts[by_schema] += 1
        if by_schema:
            value = decoder(name).decode(json.dumps(document).encode())
            written = msgspec.json.encode(value)
            assert decoder(name).decode(written) == value
            validator(name).validate(msgspec.json.decode(written))

    agree()
    assert min(verdicts.values()) > 0, f"the damage is one-sided: {verdicts}"


INSTANT_FIELDS = [
    pytest.param(name, example, path, id=f"{name}-{'.'.join(map(str, path))}")
    for name in TYPES
    if name != "registry-record.v1"  # its booked_at is a column of a roster
    for path, example in {
        path: example
        for example in VALID[name]
        for path in spots(example)
        if str(path[-1]).endswith("_at") or path[-1] in ("timestamp", "at", "since", "scheduled_for", "hold_until")
    }.items()
]


@pytest.mark.parametrize(("name", "example", "path"), INSTANT_FIELDS)
def test_every_instant_is_judged_alike(name: str, example: Any, path: tuple[Any, ...]) -> None:
    document = copy.deepcopy(example)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    by_schema, by_type = {}, {}
    for instant in INSTANTS:
        parent[path[-1]] = instant
        by_schema[instant] = validator(name).is_valid(document)
        by_type[instant] = type_takes(name, document)
    assert by_schema == by_type
    assert by_schema["2024-02-29T00:00:00Z"]
    assert not by_schema["2024-01-01"]


def event(**changed: Any) -> dict[str, Any]:
    return {
        "kind": "died",
        "facility": "CT0640099",
        "booking_number": "1",
        "occurred_at": "2024-01-01T00:00:00Z",
        **changed,
    }


@pytest.mark.parametrize("lax", ["2024-01-01 00:00:00Z", "2024-01-01T00:00:00+0500"])
def test_known_difference_the_type_reads_laxer_times_and_writes_strict_ones(lax: str) -> None:
    document = event(occurred_at=lax)
    assert not validator("custody-event.v1").is_valid(document)
    value = decoder("custody-event.v1").decode(json.dumps(document))
    validator("custody-event.v1").validate(msgspec.json.decode(msgspec.json.encode(value)))


def test_known_difference_an_integer_with_a_point_is_one_to_the_schema_only() -> None:
    assert validator("custody-event.v1").is_valid(event(sequence=1.0))
    assert not type_takes("custody-event.v1", event(sequence=1.0))


def test_known_difference_a_number_beyond_double_is_one_to_the_schema_only() -> None:
    huge = '{"field": "a", "outcome": "b", "bits": 1e400}'
    text = json.dumps(VALID["review.v1"][0]).replace('{"field": "surname", "outcome": "agrees"}', huge)
    assert huge in text
    assert validator("review.v1").is_valid(json.loads(text))
    with pytest.raises(msgspec.ValidationError):
        decoder("review.v1").decode(text)


def test_an_unknown_field_is_let_through_and_not_kept() -> None:
    """A later version may add a field: whoever reads by this one is not stopped by it."""
    document = event(later="1")
    assert validator("custody-event.v1").is_valid(document)
    value = decoder("custody-event.v1").decode(json.dumps(document))
    assert "later" not in msgspec.json.decode(msgspec.json.encode(value))
