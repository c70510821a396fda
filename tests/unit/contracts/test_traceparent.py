"""Trace context as it is carried. It comes from outside, and nothing may depend on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cloudevents import encode_headers
from contracts.traceparent import HEADER, header, trace_id_of, traceparent_of, valid
from tests.unit.contracts.test_cloudevents import EVENT

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b9c7c989f97918e1"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_good_one_is_taken_as_it_is() -> None:
    assert valid(GOOD) == GOOD
    assert trace_id_of(GOOD) == TRACE
    assert valid(f" {GOOD}\t") == GOOD


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert valid(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be") == GOOD
    assert valid(f"cc-{TRACE}-{SPAN}-01") == GOOD


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Exampleson",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "0",
        GOOD + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE[:-1]}\N{ARABIC-INDIC DIGIT ONE}-{SPAN}-01",
        GOOD + "\n",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 600,
    ],
)
def test_what_is_none_is_as_good_as_absent(text: str | None) -> None:
    assert valid(text) is None


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?"))
def test_whatever_comes_the_answer_is_good_or_none(text: str) -> None:
    answer = valid(text)
    assert answer is None or (valid(answer) == answer and len(answer) == 55)


def test_the_header_is_there_if_there_is_a_trace() -> None:
    assert encode_headers(EVENT, GOOD) == [*encode_headers(EVENT), ("ce_traceparent", GOOD.encode())]
    assert encode_headers(EVENT, None) == encode_headers(EVENT)
    assert header(None) == []


def test_it_is_read_back_from_a_record() -> None:
    assert traceparent_of(encode_headers(EVENT, GOOD)) == GOOD
    assert traceparent_of(encode_headers(EVENT)) is None


@given(st.lists(st.tuples(st.sampled_from([HEADER, "traceparent", "ce_id"]), st.none() | st.binary(max_size=80))))
def test_no_header_breaks_the_reading(headers: list[tuple[str, bytes | None]]) -> None:
    assert traceparent_of(headers) is None
    assert traceparent_of([*headers, (HEADER, GOOD.encode())]) == GOOD
