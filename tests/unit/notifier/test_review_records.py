"""What is a review on the topic, and what is refused there rather than by PostgreSQL or by the matcher."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from contracts.ids import episode_id
from services.notifier.adapters.reviews import ReviewIntake, episode_of
from services.platform.kafka.outlets import Outlet
from tests.unit.notifier.conflicts import JAIL
from tests.unit.notifier.reviews import review

INTAKE = ReviewIntake(lambda: None, lambda: None, cast(Outlet, None))
GOOD = msgspec.json.encode(review())


def record(value: bytes | None, key: bytes = b"rev_" + b"a" * 24) -> Any:
    return SimpleNamespace(value=value, key=key)


def test_a_review_is_kept_with_its_bytes() -> None:
    kept = INTAKE.readable(record(GOOD))
    assert (kept.review, kept.body) == (review(), GOOD)
    assert kept.episode_id == episode_id(JAIL, "BOOK-1")


def test_the_episode_is_known_by_its_booking_number_too() -> None:
    given = review()
    named = msgspec.structs.replace(given, custody_side=msgspec.structs.replace(given.custody_side, record="BOOK-1"))
    assert episode_of(named) == episode_of(given) == episode_id(JAIL, "BOOK-1")


def test_one_that_was_taken_off_the_topic_is_named_by_its_key() -> None:
    kept = INTAKE.readable(record(None))
    assert (kept.review_id, kept.review) == ("rev_" + "a" * 24, None)


@pytest.mark.parametrize(
    "bad",
    [
        record(b""),
        record(b"\xff\xfe"),
        record(b'{"version":1}'),
        record(GOOD.replace(b'"version":1', b'"version":99999999999')),
        record(GOOD.replace(b'"decided_at":"2026-03-04T05:07:07Z"', b'"decided_at":"9999-12-31T23:59:59-05:00"')),
        record(msgspec.json.encode(review(2)).replace(review(2).conflict_id.encode(), review(1).conflict_id.encode())),
        record(None, b"\xff"),
        record(None, b"rev_\x00"),
    ],
)
def test_what_is_none_is_refused(bad: Any) -> None:
    assert bad.value != GOOD
    with pytest.raises(ValueError):
        INTAKE.readable(bad)
