"""Endpoints and release notices as an operator sees them, by metrics: from a real ledger and real attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import prometheus_client

from contracts.types.conflict import Stage
from services.notifier.adapters.gauges import Gauges
from services.notifier.adapters.postgres import notices
from tests.integration.notifier.support import Ledger, Receiver, dispatching
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, JAIL, OTHER, conflict


def sample(name: str, **labels: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(name, labels)


def opened(agency: str, status: str) -> float | None:
    return sample("sallyport_notifier_releases_open", agency=agency, status=status)


async def test_endpoints_show_their_state_and_what_waits_for_them(ledger: Ledger) -> None:
    one, two = await ledger.subscribe("http://a.example/hook"), await ledger.subscribe("desk@a.example", OTHER, "email")
    gone = await ledger.subscribe("http://a.example/gone")
    now = datetime.now(UTC)
    await ledger.tell(*(conflict(n, agency=OTHER) for n in range(3)))
    await ledger.pool.execute("update deliveries set created_at = $1", now - timedelta(minutes=10))
    await ledger.pool.execute(
        """update deliveries set claim_id = gen_random_uuid(), lease_until = $1
        where delivery_id = (select min(delivery_id) from deliveries)""",
        now,
    )
    await ledger.pool.execute(
        "update subscriptions set failures_in_a_row = 7, resting_until = $2 where subscription_id = $1",
        one,
        now + timedelta(minutes=1),
    )
    await ledger.pool.execute("update subscriptions set status = 'disabled' where subscription_id = $1", gone)
    gauges = Gauges(lambda: ledger.pool, 1.0)
    await gauges.look(now)

    def state(agency: str, name: str, channel: str, state: str) -> float | None:
        return sample(
            "sallyport_notifier_endpoint_state", agency=agency, subscription=name, channel=channel, state=state
        )

    assert state(AGENCY, one, "webhook", "resting") == 1
    assert state(OTHER, two, "email", "active") == 1
    assert state(AGENCY, gone, "webhook", "disabled") == 1
    of_two = {"agency": OTHER, "subscription": two}
    assert sample("sallyport_notifier_endpoint_failures_in_a_row", agency=AGENCY, subscription=one) == 7
    assert sample("sallyport_notifier_endpoint_in_flight", **of_two) == 1
    assert sample("sallyport_notifier_endpoint_waiting", **of_two) == 2
    waits = sample("sallyport_notifier_endpoint_oldest_waiting_seconds", **of_two)
    assert waits is not None
    assert abs(waits - 600) < 1

    # One later it rests no more, and a deleted one is no series at all.
    await ledger.pool.execute("update subscriptions set status = 'deleted' where subscription_id = $1", gone)
    await gauges.look(now + timedelta(minutes=2))
    assert state(AGENCY, one, "webhook", "resting") is None
    assert state(AGENCY, one, "webhook", "active") == 1
    assert state(AGENCY, gone, "webhook", "disabled") is None


async def test_a_release_is_open_until_somebody_answers_or_a_newer_version_is_told(ledger: Ledger) -> None:
    name = await ledger.subscribe("http://a.example/hook")
    now = datetime.now(UTC)
    gauges = Gauges(lambda: ledger.pool, 1.0)
    told = [conflict(n) for n in range(5)]
    await ledger.tell(*told, conflict(9, stage=Stage.IN_CUSTODY), conflict(20, agency=OTHER))
    await gauges.look(now)
    assert opened(AGENCY, "pending") == 5, "and what is routine is not among them"
    assert opened(OTHER, "no_subscription") == 1
    oldest = sample("sallyport_notifier_releases_oldest_seconds", agency=AGENCY, status="pending")
    assert oldest is not None
    assert abs(oldest - (now - told[0].cause.accepted_at).total_seconds()) < 1

    # Three are taken, and of these one is answered, and one closed by a newer version.
    for taken in told[:3]:
        await ledger.pool.execute("update notices set status = 'delivered' where conflict_id = $1", taken.conflict_id)
        await ledger.pool.execute(
            "update deliveries set status = 'delivered' where conflict_id = $1", taken.conflict_id
        )
    first = await ledger.pool.fetchval("select notice_id from notices where conflict_id = $1", told[0].conflict_id)
    assert await notices.acknowledge(ledger.pool, AGENCY, first, "received", None, now)
    await ledger.pool.execute("update deliveries set attempts = 1 where subscription_id = $1", name)
    await ledger.tell(conflict(1, version=2, stage=Stage.CLOSED))
    await ledger.pool.execute("update notices set status = 'failed' where conflict_id = $1", told[3].conflict_id)
    await gauges.look(now)
    assert (opened(AGENCY, "pending"), opened(AGENCY, "delivered"), opened(AGENCY, "failed")) == (1, 1, 1)

    # What nobody answered within a week is not counted any more; what waits is, however old.
    await ledger.pool.execute("update notices set created_at = $1", now - timedelta(days=8))
    await gauges.look(now)
    assert (opened(AGENCY, "pending"), opened(AGENCY, "delivered"), opened(AGENCY, "failed")) == (1, None, None)
    assert opened(OTHER, "no_subscription") is None


async def test_the_copy_of_the_jail_that_released_is_no_open_release(ledger: Ledger) -> None:
    """A jail was told of an alarm, and so of what came after it; it is not asked to answer for a release of its own."""
    await ledger.subscribe("http://jail.example/hook", JAIL)
    now = datetime.now(UTC)
    gauges = Gauges(lambda: ledger.pool, 1.0)
    await ledger.tell(conflict(1, stage=Stage.HOLD_EXPIRED))
    await ledger.tell(conflict(1, version=2))
    assert await ledger.pool.fetchval("select count(*) from notices where recipient = $1 and version = 2", JAIL) == 1
    await gauges.look(now)
    assert opened(AGENCY, "no_subscription") == 1
    assert opened(JAIL, "pending") is None


async def test_the_age_of_a_notice_is_measured_when_it_is_first_taken_and_not_again(
    ledger: Ledger, receiver: Receiver
) -> None:
    """Over two endpoints, the second of which fails at first; and once more, because the agency asks for it."""
    await ledger.subscribe(receiver.url + "/one")
    await ledger.subscribe(receiver.url + "/two")
    receiver.says("/two", 500, 500, 200)
    count = "sallyport_event_to_delivery_seconds_count"

    def taken() -> float:
        return sample(count, stage="transferred") or 0

    before = taken()
    failed_before = sum(
        s.value
        for metric in prometheus_client.REGISTRY.collect()
        for s in metric.samples
        if s.name == "sallyport_notifier_endpoint_attempts_total" and s.labels["outcome"] == "failed"
    )
    async with dispatching(ledger) as dispatcher:
        await ledger.tell(conflict(1, stage=Stage.TRANSFERRED))
        dispatcher.wake()
        await eventually(ledger.settled)
        assert receiver.count("/one") == 1
        assert receiver.count("/two") == 3
        assert taken() == before + 1
        delivery = await ledger.pool.fetchval("select min(delivery_id) from deliveries")
        assert await notices.retry(ledger.pool, AGENCY, delivery, datetime.now(UTC)) == "delivered"
        dispatcher.wake()
        await eventually(ledger.settled)
    assert receiver.count("/one") + receiver.count("/two") == 5
    assert taken() == before + 1
    failed = sum(
        s.value
        for metric in prometheus_client.REGISTRY.collect()
        for s in metric.samples
        if s.name == "sallyport_notifier_endpoint_attempts_total" and s.labels["outcome"] == "failed"
    )
    assert failed == failed_before + 2
