"""The notifier as a process, with Kafka and PostgreSQL: killed, drained, its database away (G4, G8)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import notice_id
from contracts.types.conflict import Conflict, Stage
from contracts.types.notice import NoticeEvent
from contracts.types.registry import Agency, AgencyCategory, Source
from contracts.types.reject import Reject
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import StackInfo
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.integration.ingest.support import Topic
from tests.integration.notifier.support import Ledger, Receiver
from tests.support.plain import plain
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, conflict

pytestmark = pytest.mark.timeout(400)
KEY = new_key()
QUICK = {
    "SALLYPORT_RETRY_SCALE": "0.01",
    "SALLYPORT_WEBHOOK_DEADLINE_S": "5",
    "SALLYPORT_LEASE_MARGIN_S": "1",
    "SALLYPORT_POLL_S": "0.1",
    "SALLYPORT_DRAIN_DEADLINE_S": "6",
    "SALLYPORT_SESSION_TIMEOUT_MS": "6000",
    "SALLYPORT_ALLOW_PRIVATE_ENDPOINTS": "true",
    "SALLYPORT_ALLOW_PLAIN_HTTP": "true",
}


class Link:
    """A TCP proxy before PostgreSQL that can be cut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        netloc = f"{self._target.netloc.rpartition('@')[0]}@127.0.0.1:{self._port}"
        return self._target._replace(netloc=netloc).geturl()

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, inner_writer}

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


class Rig:
    """A notifier with a database and a consumer group of its own, and an agency that subscribes."""

    def __init__(self, stack: StackInfo, group: ProcessGroup, ledger: Ledger, receiver: Receiver, url: str, name: str):
        self.stack, self.ledger, self.receiver = stack, ledger, receiver
        settings = {
            **stack.environ(), **QUICK, "DATABASE_URL": url, "SALLYPORT_GROUP_ID": f"notifier-{name}",
            "SALLYPORT_SECRETS_KEYS": Fernet.generate_key().decode(),
        }  # fmt: skip
        settings.pop("SALLYPORT_DATABASE_URL", None)
        self.notifier: ServiceProcess = group.service("notifier", settings)

    async def start(self) -> None:
        agency = Agency(id=AGENCY, name="Test agency", category=AgencyCategory.SHERIFF)
        source = Source(id="notifier-tests", key_sha256=[hash_key(KEY)], agency=AGENCY)
        await publish(plain(self.stack.kafka_bootstrap_servers), [agency, source])
        self.notifier.start()  # from this thread: the kernel ties it to the thread that started it
        await self.ready()
        assert (
            await self.call("POST", "/v1/subscriptions", {"channel": "webhook", "url": self.receiver.url + "/hook"})
        )[0] == 201

    async def ready(self) -> None:
        await asyncio.to_thread(self.notifier.wait_ready)

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.notifier.url + path, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    async def write(self, *values: Conflict | bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.kafka_bootstrap_servers, enable_idempotence=True)
        await producer.start()
        try:
            for value in values:
                if isinstance(value, bytes):
                    await producer.send("conflicts.v1", key=b"odd", value=value, headers=[("ce_id", b"\xff")])
                    continue
                attributes = Attributes(
                    f"{value.conflict_id}.{value.version}", "m", "c", value.decided_at, value.decided_at
                )
                await producer.send(
                    "conflicts.v1",
                    key=value.detainer.detainer_id.encode(),
                    value=msgspec.json.encode(value),
                    headers=encode_headers(attributes),
                )
            await producer.flush()
        finally:
            await producer.stop()

    async def delivered(self, given: list[Conflict]) -> bool:
        notices = await self.ledger.notices()
        return all(notices.get((c.conflict_id, c.version)) == "delivered" for c in given)

    async def events(self) -> list[NoticeEvent]:
        """What kafka-python reads of notices.v1."""
        records = await asyncio.to_thread(Topic(self.stack.kafka_bootstrap_servers, "notices.v1").records)
        return [msgspec.json.decode(record.value, type=NoticeEvent) for record in records]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as made:
        yield made


@pytest.fixture
async def link(ledger_url: str) -> AsyncIterator[Link]:
    made = Link(ledger_url)
    await made.join()
    yield made
    await made.cut()


@pytest.fixture
async def rig(
    topics: StackInfo, group: ProcessGroup, ledger: Ledger, receiver: Receiver, link: Link, suffix: str
) -> AsyncIterator[Rig]:
    made = Rig(topics, group, ledger, receiver, link.url, suffix)
    await made.start()
    yield made
    await asyncio.to_thread(group.stop)


def releases(first: int, count: int) -> list[Conflict]:
    return [conflict(number) for number in range(first, first + count)]


async def test_kill_nine_loses_nothing_and_every_repeat_is_in_the_ledger(rig: Rig) -> None:
    given = releases(1000, 600)
    await rig.write(*given)
    for share in (0.2, 0.6):

        async def amid(share: float = share) -> bool:
            return rig.receiver.count("/hook") >= share * len(given)

        await eventually(amid)
        rig.notifier.kill()
        rig.notifier.start()
    await eventually(lambda: rig.delivered(given))
    arrived = [name for _, name in rig.receiver.got]
    assert len(set(arrived)) == len(given)
    rows = await rig.ledger.pool.fetch(
        "select notice_id, count(*) as n from attempts join deliveries using (delivery_id) group by notice_id"
    )
    attempts = {row["notice_id"]: row["n"] for row in rows}
    assert all(arrived.count(name) <= attempts[name] for name in attempts)
    interrupted = await rig.ledger.pool.fetchval("select count(*) from attempts where outcome = 'interrupted'")
    assert len(arrived) - len(given) <= interrupted
    assert rig.notifier.starts == 3


async def test_sigterm_finishes_what_is_under_way(rig: Rig) -> None:
    given = releases(2000, 40)

    asked_to_end = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        """Answers only when the notifier has been asked to end."""
        await asyncio.wait_for(asked_to_end.wait(), 60)
        return web.Response()

    rig.receiver.answers["/hook"] = slow
    await rig.write(*given)

    async def under_way() -> bool:
        return bool(rig.receiver.open.get("/hook"))

    await eventually(under_way)
    rig.notifier.ask_to_end()
    asked_to_end.set()
    assert await asyncio.to_thread(rig.notifier.wait_exit, 60) == 0
    assert await rig.ledger.pool.fetchval("select count(*) from deliveries where claim_id is not null") == 0
    assert {outcome for _, outcome, _, _ in await rig.ledger.attempts()} == {"delivered"}


async def test_a_database_that_goes_and_comes_back_loses_nothing(rig: Rig, link: Link) -> None:
    before, meanwhile = releases(3000, 30), releases(3100, 30)
    await rig.write(*before)
    await eventually(lambda: rig.delivered(before))
    await link.cut()
    await rig.write(*meanwhile)

    async def noticed() -> bool:
        return any(event.get("event") == "database_away" for event in rig.notifier.log_events())

    async def unready(*checks: str) -> bool:
        status, answer = await asyncio.to_thread(rig.notifier.get, "/readyz")
        return status == (503 if checks else 200) and all(check in answer for check in checks)

    await eventually(noticed)
    assert (await rig.call("GET", "/v1/notices"))[0] == 503
    await eventually(lambda: unready("database"))
    assert rig.notifier.get("/livez")[0] == 200
    await link.join()
    await eventually(lambda: rig.delivered(meanwhile))
    await eventually(unready)
    # The topic is the module's: what earlier tests wrote is read by this test's group, too.
    ours = {notice_id(c.conflict_id, c.version, AGENCY) for c in [*before, *meanwhile]}
    arrived = [name for _, name in rig.receiver.got if name in ours]
    assert len(arrived) == len(set(arrived)) == 60
    assert rig.notifier.is_running
    assert rig.notifier.starts == 1


async def test_sigterm_while_the_database_is_away_ends_in_time(rig: Rig, link: Link) -> None:
    await link.cut()
    await rig.write(*releases(4000, 5))

    async def noticed() -> bool:
        return any(event.get("event") == "database_away" for event in rig.notifier.log_events())

    await eventually(noticed)
    rig.notifier.ask_to_end()
    assert await asyncio.to_thread(rig.notifier.wait_exit, 60) == 0
    await link.join()
    rig.notifier.start()
    await eventually(lambda: rig.delivered(releases(4000, 5)))


async def test_what_cannot_be_read_is_kept_and_the_rest_goes_on(rig: Rig) -> None:
    far = msgspec.json.encode(conflict(5000)).replace(b"2026-03-04T05:06:07Z", b"9999-12-31T23:59:59-05:00")
    huge = msgspec.json.encode(conflict(5001)).replace(b'"version":1', b'"version":99999999999')
    garbage = [b"\xff\xfe not json", b'{"version":1}', b"", far, huge]
    given = releases(5100, 3)
    await rig.write(given[0], *garbage, *given[1:])
    await eventually(lambda: rig.delivered(given))
    topic = Topic(rig.stack.kafka_bootstrap_servers, "rejects.v1")

    async def kept() -> bool:  # it lay on another partition than what is delivered
        rejects = [msgspec.json.decode(r.value, type=Reject) for r in await asyncio.to_thread(topic.records)]
        assert {reject.code for reject in rejects} <= {"conflict_unreadable"}
        return {reject.raw for reject in rejects} >= set(garbage)

    await eventually(kept)


async def test_what_became_of_each_notice_is_on_notices_v1_and_nobody_is_in_the_logs(rig: Rig) -> None:
    rig.receiver.says("/hook", 200)
    told, dead = conflict(6000), conflict(6001, stage=Stage.HOLD_EXPIRED)
    await rig.write(told)
    await eventually(lambda: rig.delivered([told]))
    path = f"/v1/notices/{notice_id(told.conflict_id, told.version, AGENCY)}/acknowledge"
    assert (await rig.call("POST", path, {"response": "received"}))[0] == 200
    rig.receiver.says("/hook", 500)
    await rig.write(dead)
    # Its last attempt, and not days of them.
    last = """update deliveries set failures = 99, next_attempt_at = now()
        where status = 'pending' and claim_id is null and attempts > 0"""

    async def outcomes() -> bool:
        await rig.ledger.pool.execute(last)
        events = [event for event in await rig.events() if event.conflict_id in (told.conflict_id, dead.conflict_id)]
        found = sorted((event.conflict_id, str(event.outcome)) for event in events)
        return found == sorted(
            [(told.conflict_id, "delivered"), (told.conflict_id, "acknowledged"), (dead.conflict_id, "failed")]
        )

    await eventually(outcomes)
    log = rig.notifier.log_text()
    assert "attempt_failed" in log
    for private in ("REF-600", "BOOK-600", "Test agency", KEY, "whsec_"):
        assert private not in log
