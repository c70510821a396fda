"""Reviews and decisions through a notifier process, on servers of its own: its broker hangs, and it is killed (G1)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from contracts.types.conflict import Review, ReviewStatus
from contracts.types.registry import Source
from contracts.types.reject import Reject
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import DevStack, StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.integration.ingest.support import Topic
from tests.support.kafka import fresh_topics
from tests.support.plain import plain
from tests.support.waiting import eventually
from tests.unit.notifier.reviews import review

pytestmark = [
    pytest.mark.skipif("KAFKA_BOOTSTRAP_SERVERS" in os.environ, reason="needs a Kafka that it may stop"),
    pytest.mark.timeout(500),
]
NAME = f"test-reviews-{os.getpid()}"
KEY = new_key()
Answer = tuple[int, dict[str, Any]]


@pytest.fixture(scope="module")
def servers() -> Iterator[StackInfo]:
    """A stack of our own, to be stopped."""
    with ephemeral(checkout_root(), NAME) as info:
        fresh_topics(info.kafka_bootstrap_servers)
        source = Source(id="console", key_sha256=[hash_key(KEY)], reviewer=True)
        asyncio.run(publish(plain(info.kafka_bootstrap_servers), [source]))
        yield info


class Desk:
    """A notifier process, and a reviewer who uses it."""

    def __init__(self, servers: StackInfo, process: ServiceProcess, http: aiohttp.ClientSession) -> None:
        self.servers, self.process, self._http = servers, process, http

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._http.request(method, self.process.url + path, json=body, headers=headers) as answer:
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
            return answer.status, await answer.json(content_type=None)

    async def decide(self, given: Review, decision: str = "confirm") -> Answer:
        body = {"version": given.version, "decision": decision, "reason": "same scar", "reviewer": "R. Viewer"}
        return await self.call("POST", f"/v1/reviews/{given.review_id}/decision", body)

    async def write(self, *values: Review | bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers.kafka_bootstrap_servers)
        await producer.start()
        try:
            for value in values:
                key, raw = (
                    (b"odd", value)
                    if isinstance(value, bytes)
                    else (value.review_id.encode(), msgspec.json.encode(value))
                )
                await producer.send("reviews.v1", key=key, value=raw)
            await producer.flush()
        finally:
            await producer.stop()

    async def shown(self, given: Review) -> bool:
        status, got = await self.call("GET", f"/v1/reviews/{given.review_id}")
        return status == 200 and bool(msgspec.convert(got["review"], Review) == given)

    async def arrived(self, given: Review) -> list[bytes]:
        """The decisions on a review that are on the topic."""
        topic = Topic(self.servers.kafka_bootstrap_servers, "review.decisions.v1")
        return [r.value for r in await asyncio.to_thread(topic.records) if r.key == given.review_id.encode()]

    async def all_sent(self, given: Review) -> list[dict[str, Any]]:
        """The decisions on a review, once Kafka has every one; until then nothing."""
        _, got = await self.call("GET", f"/v1/reviews/{given.review_id}")
        found: list[dict[str, Any]] = got["decisions"]
        return found if all(decision["sent"] for decision in found) else []


@pytest.fixture
async def desk(servers: StackInfo, tmp_path: Path) -> AsyncIterator[Desk]:
    with ProcessGroup(tmp_path) as group:
        settings = servers.environ() | {
            "SALLYPORT_SECRETS_KEYS": Fernet.generate_key().decode(),
            "SALLYPORT_MIGRATE_ON_START": "true",
            "SALLYPORT_KAFKA_REQUEST_TIMEOUT_MS": "2000",
            "SALLYPORT_SESSION_TIMEOUT_MS": "6000",
        }
        process = group.service("notifier", settings)
        process.start()
        await asyncio.to_thread(process.wait_ready)
        async with aiohttp.ClientSession() as http:
            yield Desk(servers, process, http)
        await asyncio.to_thread(group.stop)


def kafka_pid() -> int:
    (kafka,) = (part for part in DevStack(checkout_root(), NAME).status() if part.part == "kafka")
    assert kafka.pid is not None
    return kafka.pid


async def test_a_review_is_read_decided_and_nobody_is_in_the_logs(desk: Desk) -> None:
    garbage = [b"\xff\xfe not json", b'{"version":1}', b""]
    given, other = review(1, 2), review(2)
    await desk.write(given, garbage[0], review(1, 1), garbage[1], other, garbage[2])
    await eventually(lambda: desk.shown(other))
    await eventually(lambda: desk.shown(given))
    status, page = await desk.call("GET", "/v1/reviews?status=open")
    assert status == 200
    assert {line["review_id"] for line in page["reviews"]} >= {given.review_id, other.review_id}
    status, answer = await desk.decide(given)
    assert status == 202
    assert [msgspec.json.decode(value) for value in await desk.arrived(given)] == [answer["decision"]]
    # The matcher acts on it.
    await desk.write(review(1, 3, ReviewStatus.CONFIRMED))
    await eventually(lambda: desk.shown(review(1, 3, ReviewStatus.CONFIRMED)))
    assert await desk.decide(given) == (202, answer)
    topic = Topic(desk.servers.kafka_bootstrap_servers, "rejects.v1")

    async def kept() -> bool:
        rejects = [msgspec.json.decode(r.value, type=Reject) for r in await asyncio.to_thread(topic.records)]
        assert {reject.code for reject in rejects} <= {"review_unreadable"}
        return {reject.raw for reject in rejects} == set(garbage)

    await eventually(kept)
    log = desk.process.log_text()
    assert "review_decided" in log
    for private in ("Exampleson", "Inaki", "1987-03", "REF-", "BOOK-", "R. Viewer", "same scar", KEY):
        assert private not in log


async def test_killed_before_the_offsets_it_reads_again_and_nothing_changes(desk: Desk) -> None:
    given = [review(number, version) for number in range(100, 160) for version in (1, 2, 3)]
    await desk.write(*given)
    desk.process.kill()
    desk.process.start()
    await asyncio.to_thread(desk.process.wait_ready)
    for newest in given[2::3]:
        await eventually(partial(desk.shown, newest))


async def test_a_broker_that_hangs_is_503_and_the_same_again_is_the_same_decision(desk: Desk) -> None:
    first, asked, left, other = review(200), review(201), review(202), review(203)
    await desk.write(first, asked, left, other)
    for given in (first, asked, left, other):
        await eventually(partial(desk.shown, given))
    assert (await desk.decide(first))[0] == 202
    pid = kafka_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        answers = await asyncio.gather(desk.decide(asked), desk.decide(left))
        assert [(status, answer["code"]) for status, answer in answers] == [(503, "broker_unavailable")] * 2
        # It is on record, and Kafka is not known to have it.
        _, read = await desk.call("GET", f"/v1/reviews/{asked.review_id}")
        (doubtful,) = read["decisions"]
        assert doubtful["sent"] is False

        # Known to be away, it is not waited for; and what is refused so is not on record.
        async def refused_at_once() -> bool:
            begun = time.monotonic()
            status, _ = await desk.decide(other, "reject")
            assert status == 503
            return time.monotonic() - begun < 0.5

        before = len((await desk.call("GET", f"/v1/reviews/{left.review_id}"))[1]["decisions"])
        await eventually(refused_at_once)
        assert (await desk.decide(left, "reject"))[0] == 503
        assert len((await desk.call("GET", f"/v1/reviews/{left.review_id}"))[1]["decisions"]) == before
        assert desk.process.get("/livez")[0] == 200
    finally:
        os.kill(pid, signal.SIGCONT)

    async def taken() -> Any:
        status, answer = await desk.decide(asked)
        assert status in (202, 503)
        return answer if status == 202 else None

    answer = await eventually(taken)
    assert answer["decision_id"] == doubtful["decision_id"]
    assert answer["decision"] == doubtful["decision"]

    # Nobody asks again for the others that were put on record, and the matcher gets them all the same.
    for given in (asked, left):
        decisions = await eventually(partial(desk.all_sent, given))
        arrived = [msgspec.json.decode(value) for value in await desk.arrived(given)]
        assert {d["decision_id"] for d in arrived} == {d["decision_id"] for d in decisions}
        assert all(decision in [d["decision"] for d in decisions] for decision in arrived), "sent twice, and not alike"
