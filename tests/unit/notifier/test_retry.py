"""The schedule of attempts, the breaker, and what one outcome leads to."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.outcomes import judge
from services.notifier.domain.retry import BREAKER_LONGEST_S, LONGEST_S, SCHEDULE_S, breaker_pause_s, next_pause_s
from tests.unit.notifier.conflicts import NOW

chances = st.floats(0, 1)
attempts = st.integers(1, len(SCHEDULE_S))
waits = st.floats(0, 1e9)
THREE_DAYS_S = 3 * 24 * 3600


@given(st.lists(chances, min_size=len(SCHEDULE_S), max_size=len(SCHEDULE_S)))
def test_attempts_go_on_for_at_least_three_days_and_end_before_four(dice: list[float]) -> None:
    pauses = [next_pause_s(n, chance) for n, chance in enumerate(dice, 1)]
    total = sum(p for p in pauses if p is not None)
    assert None not in pauses
    assert THREE_DAYS_S <= total <= 4 * 24 * 3600


@given(attempts, chances)
def test_jitter_adds_up_to_a_fifth_and_takes_nothing(failed: int, chance: float) -> None:
    pause = next_pause_s(failed, chance)
    assert pause is not None
    assert SCHEDULE_S[failed - 1] <= pause <= SCHEDULE_S[failed - 1] * 1.2


@given(attempts)
def test_two_that_failed_together_are_not_tried_together(failed: int) -> None:
    assert next_pause_s(failed, 0.1) != next_pause_s(failed, 0.9)


@given(attempts, chances, waits)
def test_retry_after_lengthens_a_pause_never_shortens_it_and_is_capped(failed: int, chance: float, wait: float) -> None:
    plain, asked = next_pause_s(failed, chance), next_pause_s(failed, chance, wait)
    assert plain is not None
    assert asked is not None
    assert asked >= plain
    assert asked == max(plain, min(wait, LONGEST_S))


@given(chances, waits)
def test_after_the_last_pause_there_is_none_whatever_is_asked(chance: float, wait: float) -> None:
    assert next_pause_s(len(SCHEDULE_S) + 1, chance) is None
    assert next_pause_s(len(SCHEDULE_S) + 1, chance, wait) is None


@given(st.integers(1, 50), st.integers(0, 10_000))
def test_the_breaker_rests_longer_each_time_up_to_five_minutes(threshold: int, failures: int) -> None:
    rest = breaker_pause_s(failures, threshold)
    assert (rest == 0) == (failures < threshold)
    assert rest <= breaker_pause_s(failures + 1, threshold) <= BREAKER_LONGEST_S


def test_the_breaker_begins_with_seconds() -> None:
    assert [breaker_pause_s(n, 5) for n in (4, 5, 6, 7, 11, 12)] == [0, 5, 10, 20, 300, 300]


def test_a_success_is_delivered_and_asks_for_nothing() -> None:
    verdict = judge(True, NOW, failures=14, failures_in_a_row=99, threshold=5, chance=0.5, retry_after_s=60)
    assert (verdict.status, verdict.next_attempt_at, verdict.rest_until) == ("delivered", None, None)


def test_a_failure_waits_by_its_own_count_and_its_endpoint_by_its_own() -> None:
    verdict = judge(False, NOW, failures=1, failures_in_a_row=4, threshold=5, chance=0.0)
    assert verdict.status == "pending"
    assert verdict.next_attempt_at == NOW + timedelta(seconds=30)
    assert verdict.rest_until == NOW + timedelta(seconds=5)
    assert judge(False, NOW, failures=1, failures_in_a_row=3, threshold=5, chance=0.0).rest_until is None


def test_the_last_attempt_fails_for_good() -> None:
    before = judge(False, NOW, failures=len(SCHEDULE_S) - 1, failures_in_a_row=0, threshold=5, chance=0.0)
    last = judge(False, NOW, failures=len(SCHEDULE_S), failures_in_a_row=0, threshold=5, chance=0.0)
    assert (before.status, last.status, last.next_attempt_at) == ("pending", "failed", None)


def test_an_endpoint_that_asks_for_time_gets_it_for_all_its_notices_but_five_minutes_at_most() -> None:
    verdict = judge(False, NOW, failures=0, failures_in_a_row=0, threshold=5, chance=0.0, retry_after_s=120)
    assert verdict.next_attempt_at == verdict.rest_until == NOW + timedelta(seconds=120)
    verdict = judge(False, NOW, failures=0, failures_in_a_row=0, threshold=5, chance=0.0, retry_after_s=1e6)
    assert verdict.next_attempt_at == NOW + timedelta(seconds=LONGEST_S)
    assert verdict.rest_until == NOW + timedelta(seconds=BREAKER_LONGEST_S)


@given(st.floats(0.001, 1))
def test_the_scale_shortens_every_pause(scale: float) -> None:
    verdict = judge(False, NOW, failures=0, failures_in_a_row=5, threshold=5, chance=0.0, scale=scale)
    assert verdict.next_attempt_at == NOW + timedelta(seconds=5 * scale)
    assert verdict.rest_until == NOW + timedelta(seconds=10 * scale)
