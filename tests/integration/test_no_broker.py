"""A service whose brokers are not there yet waits for them: a restart would bring none."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.processes import ProcessGroup
from tests.support.plain import PLAIN
from tests.support.waiting import wait_for


@pytest.mark.parametrize("name", ["ingest", "matcher"])
def test_a_service_waits_for_its_brokers_and_ends_when_it_is_asked_to(tmp_path: Path, name: str) -> None:
    with ProcessGroup(tmp_path) as group:
        service = group.service(name, {**PLAIN, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
        service.start()

        def waiting() -> bool:
            return sum(event.get("event") == "broker_away" for event in service.log_events()) > 2

        wait_for(waiting, lambda: service.log_text()[-4000:])
        assert service.get("/livez")[0] == 200
        assert service.get("/readyz")[0] == 503
        service.ask_to_end()
        assert service.wait_exit(60) == 0
