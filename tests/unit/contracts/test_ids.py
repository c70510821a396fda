"""An id never changes: it is the key of records that are kept for years, and by it duplicates are known."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ids

TEXTS = st.text(max_size=20)


@pytest.mark.parametrize(
    ("made", "golden"),
    [
        (ids.episode_id("CT0640099", "2023-004417"), "epi_vlvr6fadjlo5kk4m4shzberw"),
        (ids.detainer_id("CTICE0099", "BOS-2022-118803"), "det_i4xwmtlkg6bmny4rsx6agmyu"),
        (ids.conflict_id("det_a", "epi_b"), "con_2xknovksrr6mcg4qnlkvuflh"),
        (ids.review_id("det_a", "epi_b"), "rev_2xknovksrr6mcg4qnlkvuflh"),
        (ids.notice_id("con_a", 3, "CTICE0099"), "ntc_x4hmco2hujoxicvlz37rqbmq"),
        (ids.delivery_id("ntc_a", "sub_b"), "dlv_zg42r5742tfygcqguakbv7op"),
        (ids.reject_id("hartford-jms", b"\x00{", "not_json"), "rej_t3brsn6sff3lefi3wivy4g6u"),
        (ids.decision_id("rev_a", 2, "reject", "x"), "dec_ku5pln2dxt3ife3scjer2tax"),
        (ids.breaker_id("CT0640099", "2023-02-01T00:00:00Z", 1), "brk_3tbg7t4dbed5a5p43tpofppn"),
        (ids.episode_id("CT0640099", "números/1"), "epi_u2qcjwfrtma46wg7o4ke5pol"),
    ],
)
def test_the_ids_of_today_are_the_ids_of_ever(made: str, golden: str) -> None:
    assert made == golden


def test_an_id_has_the_form_that_the_schemas_want() -> None:
    assert re.fullmatch(r"epi_[a-z2-7]{24}", ids.episode_id("CT0640099", "1"))


@given(TEXTS, TEXTS)
def test_where_one_part_ends_matters(first: str, second: str) -> None:
    """("a", "bc") and ("ab", "c") are two bookings; a free text that holds the separator does not change that."""
    facility = "CT0640099"
    moved = ids.episode_id(facility + first, second)
    assert (moved == ids.episode_id(facility, first + second)) == (first == "")


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_two_bookings_share_an_id_only_if_they_are_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    def code(text: str) -> str:
        return text.replace("\x1f", "")  # a facility's code has no control characters; a booking number may

    a, b = (code(one[0]), one[1]), (code(other[0]), other[1])
    assert (ids.episode_id(*a) == ids.episode_id(*b)) == (a == b)


def test_a_name_in_a_booking_number_is_not_in_the_id() -> None:
    assert "exampleson" not in ids.episode_id("CT0640099", "EXAMPLESON-1987").lower()


def test_the_kinds_of_ids_do_not_meet() -> None:
    assert ids.conflict_id("a", "b")[4:] == ids.review_id("a", "b")[4:]
    assert ids.conflict_id("a", "b") != ids.review_id("a", "b")


def test_a_reject_is_the_same_only_for_the_same_bytes_reason_and_source() -> None:
    base = ids.reject_id("s", b"raw", "code")
    assert base == ids.reject_id("s", b"raw", "code")
    assert len({base, ids.reject_id("t", b"raw", "code"), ids.reject_id("s", b"RAW", "code")}) == 3
    assert base != ids.reject_id("s", b"raw", "edoc")
