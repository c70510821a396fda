"""Alive and ready are two questions; a service is neither more nor less than its checks say."""

from __future__ import annotations

from prometheus_client import REGISTRY

from services.platform.health import Health


def test_a_service_without_checks_is_alive_and_ready() -> None:
    health = Health()
    assert health.is_alive() == {}
    assert health.is_ready() == {}


def test_only_what_is_wrong_is_named_and_each_question_has_its_own_checks() -> None:
    health = Health()
    health.alive("consumer", lambda: "has not moved for 30 s")
    health.alive("loop", lambda: None)
    health.ready("restored", lambda: "registry not read yet")
    assert health.is_alive() == {"consumer": "has not moved for 30 s"}
    assert health.is_ready() == {"restored": "registry not read yet"}


def test_a_check_is_asked_each_time() -> None:
    wrong: list[str] = ["not migrated"]
    health = Health()
    health.ready("migrated", lambda: wrong[0] if wrong else None)
    assert health.is_ready()
    wrong.clear()
    assert not health.is_ready()


def test_every_check_is_a_metric_of_the_moment_of_the_scrape() -> None:
    wrong: list[str] = []
    health = Health()
    health.alive("measured", lambda: None)
    health.ready("measured", lambda: wrong[0] if wrong else None)

    def failing(probe: str) -> float | None:
        return REGISTRY.get_sample_value("sallyport_check_failing", {"probe": probe, "check": "measured"})

    health.measure()
    assert (failing("live"), failing("ready")) == (0, 0)
    wrong.append("database away")
    health.measure()
    assert (failing("live"), failing("ready")) == (0, 1)
