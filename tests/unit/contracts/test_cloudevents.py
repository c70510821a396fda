"""CloudEvents attributes in Kafka headers: what is written is read back, and what is not one is refused by name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cloudevents import Attributes, decode_headers, encode_headers, rfc3339

NAMES = ("ce_id", "ce_source", "ce_type", "ce_time", "ce_acceptedtime")
INSTANTS = st.datetimes(
    min_value=datetime(1901, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2998, 12, 31),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
TEXTS = st.text(min_size=1, max_size=128)
ATTRIBUTES = st.builds(Attributes, id=TEXTS, source=TEXTS, type=TEXTS, time=INSTANTS, accepted_at=INSTANTS)
EVENT = Attributes(
    "evt-1", "hartford-jms", "sallyport.custody.released.v1", datetime(2023, 2, 1, tzinfo=UTC),
    datetime(2023, 2, 1, 0, 0, 1, 5, tzinfo=UTC),
)  # fmt: skip


@given(ATTRIBUTES)
def test_what_is_written_is_read_back(attributes: Attributes) -> None:
    assert decode_headers(encode_headers(attributes)) == attributes


def test_the_headers_are_these_bytes() -> None:
    """They are on a topic that is kept for 400 days, and other programs read them."""
    assert encode_headers(EVENT) == [
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_id", b"evt-1"),
        ("ce_source", b"hartford-jms"),
        ("ce_type", b"sallyport.custody.released.v1"),
        ("ce_time", b"2023-02-01T00:00:00.000000Z"),
        ("ce_acceptedtime", b"2023-02-01T00:00:01.000005Z"),
    ]


@given(INSTANTS)
def test_one_instant_has_one_spelling(instant: datetime) -> None:
    spelled = rfc3339(instant)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", spelled)
    assert spelled == rfc3339(instant.astimezone(UTC))
    assert datetime.fromisoformat(spelled) == instant


@pytest.mark.parametrize("name", ["ce_specversion", *NAMES])
@pytest.mark.parametrize("value", ["absent", None, b"", b"\xff\xfe-Exampleson"])
def test_a_damaged_attribute_is_refused_by_its_name(name: str, value: bytes | str | None) -> None:
    headers: list[tuple[str, bytes | None]] = [h for h in encode_headers(EVENT) if h[0] != name]
    if not isinstance(value, str):
        headers.append((name, value))
    with pytest.raises(ValueError, match=f"^{name}: ") as refused:
        decode_headers(headers)
    assert "Exampleson" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("name", ["ce_time", "ce_acceptedtime"])
@pytest.mark.parametrize(
    "value", [b"2023-02-01", b"2023-02-01T00:00:00", b"Exampleson", b"9999-12-31T23:59:59-10:00", b"1675209600"]
)
def test_a_time_that_is_none_is_refused_by_its_name(name: str, value: bytes) -> None:
    headers = [h for h in encode_headers(EVENT) if h[0] != name] + [(name, value)]
    with pytest.raises(ValueError, match=f"^{name}: ") as refused:
        decode_headers(headers)
    assert value.decode() not in str(refused.value)


@given(st.lists(st.tuples(st.sampled_from(["ce_specversion", *NAMES, "x"]), st.none() | st.binary(max_size=40))))
def test_garbage_is_a_value_error_and_nothing_else(headers: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(ValueError, match=r"^ce_[a-z]+: [a-zA-Z0-9 .-]+$"):
        decode_headers([("ce_specversion", b"1.0"), *headers, ("ce_time", None)])


def test_further_headers_are_of_no_concern() -> None:
    assert decode_headers([("traceparent", b"\xff"), *encode_headers(EVENT)]) == EVENT
