"""Boards, runbooks and alerts on the real thing: a real Prometheus scrapes the real services, and sees what is done to
them. Skipped where there is no Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

import asyncpg
import pytest

from contracts.types.custody import Released
from deploy.demo.access import ApiError, call
from deploy.demo.hartford import play_hartford, steps
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.system import System
from deploy.demo.world.generate import generate
from deploy.demo.world.people import Population
from deploy.demo.world.places import HARTFORD, ICE_BOSTON
from tests.integration.observe.prometheus import Alerts, Prometheus
from tests.observe.files import RUNBOOKS, board_queries, code_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

EMPTY: Final = {
    "Sallyport: flow: Answers that were errors of ours": "there were none",
    "Sallyport: feeds: Roster snapshots": "no roster was sent",
    "Sallyport: matcher: Partitions that stand still": "none does",
    "Sallyport: matcher: Spans of traces": "traces are off",
}
"""Panels without a series in a run where all is well, and why."""
EMPTY_COLUMNS: Final = ("sallyport_feed_usual_gap_seconds",)
"""Columns without a value: no facility has sent twice with a minute in between."""
SLOW: Final = {"SallyportObjectiveBurnsFast", "SallyportObjectiveBurnsSlowly", "SallyportEndToEndAge"}
CHOICES: Final = {"$instance": ".*", "$facility": ".*", "$agency": ".*", "$__rate_interval": "30s"}


def chosen(expr: str) -> str:
    for name, value in CHOICES.items():
        expr = expr.replace(name, value)
    return expr


async def until(condition: Callable[[], Any], wanted: object) -> None:
    """Wait for a condition; it is asked in a thread, for it waits for an answer."""
    await asyncio.to_thread(wait_for, condition, lambda: str(wanted), 120)


async def play(system: System, observer: Observer) -> Play:
    """Enough of everything that it shows: the Hartford case, a stream, and what is refused."""
    playing = Play(system, observer)
    world = generate(7, 300, disorder=0.1)
    await play_hartford(playing, world.population)
    await playing.lodge(world.lodged)
    await playing.stream(world.stream, 60)
    refuse(system, 1)
    with pytest.raises(ApiError):
        call("POST", f"{system.ingest.url}/v1/events", "sallyport_nobody", {})
    return playing


def refuse(system: System, times: int) -> None:
    """Events that are none, by Hartford's jail."""
    for number in range(times):
        with pytest.raises(ApiError) as refused:
            call(
                "POST",
                f"{system.ingest.url}/v1/events",
                system.keys[HARTFORD.source],
                {"specversion": "1.0", "id": f"bad-{number}", "source": HARTFORD.source, "type": "none", "data": {}},
                content_type="application/cloudevents+json",
            )
        assert refused.value.status == 422


async def test_every_panel_has_something_to_show_and_every_runbook_can_be_followed(
    system: System, prometheus: Prometheus
) -> None:
    with Observer(system.stack.kafka_bootstrap_servers) as observer:
        await play(system, observer)

        def lacking() -> list[str]:
            return [
                f"{name}: {expr}"
                for name, expr in board_queries()
                if not prometheus.query(chosen(expr))
                and name not in EMPTY
                and not any(column in expr for column in EMPTY_COLUMNS)
            ]

        missing: list[str] = []

        def all_there() -> bool:
            missing[:] = lacking()
            return not missing

        # Recording rules, gauges and rates take some seconds more than the events.
        await until(all_there, missing)

    # What is shown is what happened.
    taken = 'sum(sallyport_ingest_events_total{outcome="accepted"})'
    assert prometheus.value(taken) == prometheus.value("sum(sallyport_ingest_facility_events_total)")
    assert prometheus.value("count(sallyport_feed_silent)") == prometheus.value("count(sallyport_feed_in_custody)")
    replicated = prometheus.query("max by (topic) (sallyport_topic_under_replicated_partitions)")
    assert {"custody.events.v1", "conflicts.v1", "notices.v1", "registry.v1", "rejects.v1"} <= {
        series["metric"]["topic"] for series in replicated
    }
    assert {series["value"][1] for series in replicated} == {"0"}
    assert {series["metric"]["component"] for series in prometheus.query("sallyport_build_info")} == {
        "ingest", "matcher", "notifier",
    }  # fmt: skip
    # Nothing is wrong; but a machine that does much else beside may be too slow for the objectives.
    await until(lambda: prometheus.firing().keys() <= SLOW, "nothing is wrong")

    # Queries and SQL of the runbooks: taken as they stand.
    ledger = await asyncpg.connect(system.stack.database_url)
    try:
        for page in sorted(RUNBOOKS.glob("*.md")):
            for line in code_of(page.read_text("utf-8")):
                if line.startswith("select "):
                    await ledger.fetch(line)
                elif "sallyport_" in line or "sallyport:" in line or line.startswith("up"):
                    await asyncio.to_thread(prometheus.query, line)
    finally:
        await ledger.close()


async def test_alerts_fire_when_it_happens_and_end_when_it_is_mended(system: System, prometheus: Prometheus) -> None:
    def fires(alert: str, **labels: str) -> Callable[[], bool]:
        def look() -> bool:
            found: Alerts = prometheus.firing()
            return any(labels.items() <= one.items() for one in found.get(alert, []))

        return look

    def ends(alert: str) -> Callable[[], bool]:
        return lambda: alert not in prometheus.firing()

    with Observer(system.stack.kafka_bootstrap_servers) as observer:
        playing = Play(system, observer)
        population = Population(Random(11))
        await until(lambda: prometheus.value("count(up == 1)") == 3, "three services are scraped")
        await until(lambda: not prometheus.firing().keys() - SLOW, "nothing is wrong")

        # Input that is refused: forty times one code that nobody has seen before.
        refuse(system, 40)
        await until(fires("SallyportRejectsRising"), "rejects rise")

        # An agency whose endpoint does not believe our signature any more, and who has no other.
        key = system.agency_key(ICE_BOSTON.code)
        for one in call("GET", f"{system.notifier.url}/v1/subscriptions", key)["subscriptions"]:
            if one["channel"] == "email":
                call("DELETE", f"{system.notifier.url}/v1/subscriptions/{one['subscription_id']}", key)
        call("POST", f"{system.outside.url}/secrets", body={ICE_BOSTON.code: "whsec_" + "QUJD" * 8})
        story, _ = steps(population, "-alert")
        for step in story[:4]:
            await playing.stream([step.post], 1000)
        assert isinstance(story[3].post.body, Released)
        await until(fires("SallyportReleaseUndelivered", agency=ICE_BOSTON.code), "the release is not taken")
        await until(fires("SallyportEndpointFailing", agency=ICE_BOSTON.code), "its endpoint fails")

        # The matcher is killed; both what is down and what is absent show.
        system.matcher.kill()
        await until(fires("SallyportServiceDown", job="sallyport-matcher"), "the matcher is down")
        await until(fires("SallyportServiceAbsent", component="matcher"), "no matcher is to be seen")
        system.matcher.start()
        system.matcher.wait_ready()
        await until(ends("SallyportServiceDown"), "the matcher is back")
        await until(ends("SallyportServiceAbsent"), "a matcher is to be seen")

        # The person is in the agency's custody: the release notice is overtaken, and nothing is open any more.
        await playing.stream([story[4].post], 1000)
        await until(ends("SallyportReleaseUndelivered"), "the release is overtaken")
