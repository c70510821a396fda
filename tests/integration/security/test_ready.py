"""What /readyz says while a door is shut, that it goes on by itself when it is opened, and what is shut again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from cryptography.fernet import Fernet

from contracts.catalog import load_access, load_topics
from contracts.types.registry import Source
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.processes import wait_until
from services.notifier.adapters.postgres.access import database_of
from services.notifier.adapters.postgres.schema import migrate
from services.notifier.settings import NotifierSettings
from services.platform.kafka.acls import Binding, bindings_of
from services.platform.operator.registry import publish
from services.platform.registry import hash_key
from tests.integration.ingest.support import JAIL, JAIL_KEY, RECORDS, bearer, booked
from tests.support.locked import Locked
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as group:
        yield group


def bindings(name: str) -> frozenset[Binding]:
    return bindings_of(name, f"User:sallyport-{name}", load_topics(), load_access())


def wrong(service: ServiceProcess) -> dict[str, str]:
    """What /readyz names; empty when ready, and while nobody listens yet."""
    status, body = service.get("/readyz")
    if not status:
        return {"http": "not listening"}
    found: dict[str, str] = json.loads(body)["wrong"]
    assert bool(found) == (status == 503)
    return found


def says(service: ServiceProcess, *parts: str, check: str = "kafka") -> None:
    wait_for(
        lambda: all(part in wrong(service).get(check, "") for part in parts),
        lambda: f"{check} says {parts}: {wrong(service)}\n{service.log_text()[-4000:]}",
    )
    assert service.get("/livez")[0] == 200, "a restart would not help"


def ready(service: ServiceProcess) -> None:
    wait_for(lambda: not wrong(service), lambda: f"{wrong(service)}\n{service.log_text()[-4000:]}")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SALLYPORT_KAFKA_PASSWORD": "wrong"}, "kafka_login_refused"),
        ({"SALLYPORT_KAFKA_CA_FILE": "other"}, "kafka_not_trusted"),
    ],
)
@pytest.mark.parametrize("name", ["ingest", "matcher"])
def test_a_login_or_a_certificate(
    provisioned: Locked, group: ProcessGroup, name: str, changes: dict[str, str], code: str
) -> None:
    if "SALLYPORT_KAFKA_CA_FILE" in changes:
        changes = {"SALLYPORT_KAFKA_CA_FILE": str(provisioned.locks.other_ca)}
    service = group.service(name, {**provisioned.environ(f"sallyport-{name}"), **changes})
    service.start()
    says(service, code)
    assert service.terminate() == 0, "it ends when asked, though it never began"
    assert "wrong" not in [event.get("password") for event in service.log_events()]


def test_a_stranger_is_told_all_that_it_lacks_and_nothing_else_happens(
    provisioned: Locked, group: ProcessGroup
) -> None:
    service = group.service("matcher", provisioned.environ("stranger"))
    service.start()
    says(
        service,
        "kafka_not_authorised",
        "WRITE of topic conflicts.v1",
        "READ of topic custody.events.v1",
        "READ of group sallyport-matcher",
        "WRITE of transactional id sallyport-matcher-0",
    )


def test_an_acl_that_is_granted_later_and_taken_away_again(provisioned: Locked, group: ProcessGroup) -> None:
    every = bindings("ingest")
    lacking = Binding("User:sallyport-ingest", "topic", "custody.events.v1", "WRITE")
    provisioned.grant(every - {lacking})
    try:
        service = group.service("ingest", provisioned.environ("sallyport-ingest"))
        service.start()
        says(service, "kafka_not_authorised: WRITE of topic custody.events.v1")
        assert "detainers" not in wrong(service).get("kafka", "")
        provisioned.grant(every)
        ready(service)
        provisioned.grant(every - {lacking})
        says(service, "kafka_not_authorised: WRITE of topic custody.events.v1")
    finally:
        provisioned.grant(every)
    ready(service)
    assert service.is_running and service.pid is not None


def post(service: ServiceProcess, key: str, booking: str, source: str = "test-jail") -> int:
    """The status that ingest answers one booking with."""
    request = Request(
        f"{service.url}/v1/events",
        json.dumps(booked(booking) | {"source": source}).encode(),
        bearer(key),
        method="POST",
    )
    try:
        with urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_what_may_not_be_written_is_answered_503_and_what_may_not_be_read_is_read_later(
    provisioned: Locked, group: ProcessGroup
) -> None:
    every = bindings("ingest")
    operator = provisioned.settings("sallyport-operator")
    asyncio.run(publish(operator, RECORDS))
    service = group.service("ingest", provisioned.environ("sallyport-ingest"))
    service.start()
    ready(service)
    assert post(service, JAIL_KEY, "B-1") == 202
    who = "User:sallyport-ingest"
    try:
        provisioned.grant(every - {Binding(who, "topic", "custody.events.v1", "WRITE")})
        wait_for(lambda: post(service, JAIL_KEY, "B-2") == 503, "it is refused")
        provisioned.grant(every)
        wait_for(lambda: post(service, JAIL_KEY, "B-2") == 202, "it is taken again")

        provisioned.grant(every - {Binding(who, "topic", "registry.v1", "READ")})
        says(service, "kafka_not_authorised: READ of topic registry.v1")

        def unread(name: str) -> bool:
            """Published, and not known within what a fetch takes."""
            source = Source(id=name, key_sha256=[hash_key(f"sallyport_{name}")], facilities=[JAIL])
            asyncio.run(publish(operator, [source]))
            return not wait_until(lambda: post(service, f"sallyport_{name}", "B-3", name) != 401, seconds=2)

        # A fetch that was under way when the door was shut may bring one more.
        late = next((name for name in ("late", "later") if unread(name)), None)
        assert late is not None, "it goes on reading"
    finally:
        provisioned.grant(every)
    wait_for(lambda: post(service, f"sallyport_{late}", "B-3", late) == 202, "the registry is read again")
    ready(service)
    assert service.is_running, "all in one process"


def test_a_group_that_is_taken_away_ends_the_process_which_then_waits_for_it(
    provisioned: Locked, group: ProcessGroup
) -> None:
    """aiokafka's coordinator does not come back by itself; the next process does."""
    every = bindings("matcher")
    lacking = Binding("User:sallyport-matcher", "group", "sallyport-matcher", "READ")
    environment = {**provisioned.environ("sallyport-matcher"), "SALLYPORT_SESSION_TIMEOUT_MS": "2000"}
    service = group.service("matcher", environment)
    service.start()
    ready(service)
    provisioned.grant(every - {lacking})
    try:
        assert service.wait_exit(120) == 1
        assert "KafkaNotAuthorised" in service.log_text()
        service.start()
        says(service, "READ of group sallyport-matcher")
    finally:
        provisioned.grant(every)
    ready(service)


def test_a_transactional_id_that_is_taken_away_and_granted_again(provisioned: Locked, group: ProcessGroup) -> None:
    every = bindings("matcher")
    lacking = next(b for b in every if b.kind == "transactional_id")
    service = group.service("matcher", provisioned.environ("sallyport-matcher"))
    service.start()
    ready(service)
    provisioned.grant(every - {lacking})
    try:
        says(service, "WRITE of transactional id sallyport-matcher-0")
    finally:
        provisioned.grant(every)
    ready(service)


def test_the_notifiers_database(provisioned: Locked, group: ProcessGroup) -> None:
    locked, url = provisioned, provisioned.info.database_url
    settings = NotifierSettings(_env_file=None, database_url=url, database_ca_file=str(locked.locks.ca))
    asyncio.run(migrate(database_of(settings)))
    environment = {
        **locked.environ("sallyport-notifier"),
        "SALLYPORT_SECRETS_KEYS": Fernet.generate_key().decode(),
    }
    password = urlsplit(url).password or ""
    refused = group.service("notifier", {**environment, "DATABASE_URL": url.replace(password, "wrong")}, name="refused")
    untrusted = group.service(
        "notifier", {**environment, "SALLYPORT_DATABASE_CA_FILE": str(locked.locks.other_ca)}, name="untrusted"
    )
    for service in (refused, untrusted):
        service.start()
    says(refused, "database_login_refused", check="database")
    says(untrusted, "database_not_trusted", check="database")
    assert password not in refused.log_text() + untrusted.log_text()
    for service in (refused, untrusted):
        assert service.terminate() == 0
    good = group.service("notifier", environment, name="good")
    good.start()
    ready(good)
