"""The reviewers' console on a real PostgreSQL and a real Kafka: who may look, who may decide, and on what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from contracts.ids import decision_id
from contracts.types.conflict import Decision, Review, ReviewDecision, ReviewStatus
from contracts.types.registry import Source
from deploy.devstack.stack import StackInfo
from services.notifier.adapters.decisions import DECISIONS_TOPIC, Decisions
from services.notifier.adapters.postgres import reviews as store
from services.notifier.adapters.reviews import episode_of
from services.notifier.api.edge import Desk
from services.notifier.api.reviews import Reviews
from services.platform.health import Health
from services.platform.http.edge import Edge
from services.platform.kafka.clients import make_broker
from services.platform.kafka.outlets import Outlet
from services.platform.registry import RegistryTable, hash_key, new_key
from tests.integration.ingest.support import Topic, header
from tests.integration.notifier.support import Ledger, settings
from tests.integration.notifier.test_api import Api
from tests.unit.notifier.conflicts import AGENCY, JAIL, NOW, OTHER
from tests.unit.notifier.reviews import review


class Console(Api):
    """Calls as a reviewer, unless said otherwise."""

    def __init__(self, url: str, session: aiohttp.ClientSession, table: RegistryTable, stack: StackInfo) -> None:
        super().__init__(url, session, table)
        self._topic = Topic(stack.kafka_bootstrap_servers, DECISIONS_TOPIC)
        self.keys["reviewer"] = new_key()
        table.registry.put(Source(id="console", key_sha256=[hash_key(self.keys["reviewer"])], reviewer=True))

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.call(method, path, body, by="reviewer")

    async def decide(self, given: Review, decision: str = "confirm", **changes: Any) -> tuple[int, Any]:
        body = {"version": given.version, "decision": decision, "reason": "same scar", "reviewer": "R. Viewer"}
        return await self.ask("POST", f"/v1/reviews/{given.review_id}/decision", body | changes)

    async def sent(self, given: Review) -> list[Any]:
        """The records of a review on the topic."""
        records = await asyncio.to_thread(self._topic.records)
        return [r for r in records if r.key == given.review_id.encode()]


@pytest.fixture
async def outlet(topics: StackInfo) -> AsyncIterator[Outlet]:
    chosen = settings(kafka_bootstrap_servers=topics.kafka_bootstrap_servers)
    made = Outlet(chosen, make_broker(chosen), [DECISIONS_TOPIC])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def console(ledger: Ledger, outlet: Outlet, topics: StackInfo) -> AsyncIterator[Console]:
    table = RegistryTable(make_broker(settings()), fatal=lambda error: None)
    table.restored = True
    decisions = Decisions(lambda: ledger.pool, outlet, left_after_s=0.0)
    routes = Reviews(Desk(table, lambda: ledger.pool), decisions).routes()
    edge = Edge("test", Health(), host="127.0.0.1", port=0, routes=routes, max_body_bytes=64 * 1024)
    await edge.start()
    async with aiohttp.ClientSession() as session:
        yield Console(f"http://127.0.0.1:{edge.port}", session, table, topics)
    await edge.stop(0.1)


async def keep(ledger: Ledger, *given: Review) -> None:
    await store.keep(ledger.pool, [store.Kept(r.review_id, r, episode_of(r), msgspec.json.encode(r)) for r in given])


async def rows(ledger: Ledger) -> list[Any]:
    found = []
    for table in ("reviews", "decisions"):
        found += [tuple(row.values()) for row in await ledger.pool.fetch(f"select * from {table} order by 1")]
    return found


async def test_the_newest_version_stays_whatever_comes_again_or_late(console: Console, ledger: Ledger) -> None:
    newest = review(1, 3, ReviewStatus.CONFIRMED)
    await keep(ledger, review(1, 1), newest, review(1, 2), review(2))
    before = await rows(ledger)
    await keep(ledger, newest)
    await keep(ledger, review(1, 2), review(1, 1), review(2))
    assert await rows(ledger) == before
    status, got = await console.ask("GET", f"/v1/reviews/{newest.review_id}")
    assert status == 200
    assert msgspec.convert(got["review"], Review) == newest
    assert got["decisions"] == []


async def test_what_is_taken_off_the_topic_is_forgotten_but_for_its_decisions(console: Console, ledger: Ledger) -> None:
    given, other = review(1), review(2)
    await keep(ledger, given, other)
    assert (await console.decide(given))[0] == 202
    await store.keep(ledger.pool, [store.Kept(given.review_id, None)])
    assert (await console.ask("GET", f"/v1/reviews/{given.review_id}"))[0] == 404
    assert (await console.ask("GET", f"/v1/reviews/{other.review_id}"))[0] == 200
    assert await ledger.pool.fetchval("select count(*) from decisions") == 1
    assert b"Exampleson" not in await ledger.pool.fetchval("select body from decisions")


async def test_the_list_holds_nobody_and_narrows_by_status(console: Console, ledger: Ledger) -> None:
    await keep(ledger, review(1), review(2, status=ReviewStatus.WITHDRAWN), review(3))
    status, page = await console.ask("GET", "/v1/reviews?status=open")
    assert status == 200
    assert [line["review_id"] for line in page["reviews"]] == [review(1).review_id, review(3).review_id]
    assert {(line["facility"], line["agency"]) for line in page["reviews"]} == {(JAIL, AGENCY)}
    assert "Exampleson" not in str(page)
    assert len((await console.ask("GET", "/v1/reviews"))[1]["reviews"]) == 3
    assert (await console.ask("GET", "/v1/reviews?status=rejected"))[1] == {"reviews": [], "next_cursor": None}


async def test_no_review_is_missed_by_whoever_pages_while_they_change(console: Console, ledger: Ledger) -> None:
    await keep(ledger, *(review(number) for number in range(1, 8)))
    seen: list[str] = []
    cursor = ""
    while True:
        status, page = await console.ask("GET", f"/v1/reviews?limit=2{cursor}")
        assert status == 200
        seen += [line["review_id"] for line in page["reviews"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        # The one that was to come next moves to the end.
        await keep(ledger, review(3, 2, at=NOW + timedelta(days=1)))
    assert set(seen) == {review(number).review_id for number in range(1, 8)}
    assert seen[-1] == review(3).review_id


@pytest.mark.parametrize("query", ["status=lost", "limit=0", "limit=201", "cursor=x", "cursor=WzEsMl0="])
async def test_a_parameter_that_is_wrong_is_the_callers_mistake(console: Console, query: str) -> None:
    status, problem = await console.ask("GET", f"/v1/reviews?{query}")
    assert status == 422
    assert problem["code"] in ("parameter_invalid", "cursor_invalid")


async def test_a_decision_is_on_record_and_on_its_way(console: Console, ledger: Ledger) -> None:
    given = review(10, 2)
    await keep(ledger, given)
    status, answer = await console.decide(given)
    assert status == 202
    decision = msgspec.convert(answer["decision"], ReviewDecision)
    assert answer["decision_id"] == decision.decision_id
    assert decision.decision_id == decision_id(given.review_id, 2, "confirm", "R. Viewer")
    assert (decision.evidence_id, decision.version) == (given.evidence_id, 2)
    assert (decision.detainer_id, decision.episode_id) == (given.detainer.detainer_id, episode_of(given))
    assert (decision.decision, decision.reason, decision.reviewer) == (Decision.CONFIRM, "same scar", "R. Viewer")
    (record,) = await console.sent(given)
    assert msgspec.json.decode(record.value, type=ReviewDecision) == decision
    assert header(record, "ce_id") == decision.decision_id
    assert header(record, "ce_type") == "sallyport.decision.confirm.v1"
    for private in ("R. Viewer", "same scar", "Exampleson"):
        assert private not in str((record.key, record.headers))
    (row,) = await ledger.pool.fetch("select source, reviewer, sent_at from decisions")
    assert (row["source"], row["reviewer"]) == ("console", "R. Viewer")
    assert row["sent_at"] is not None
    _, read = await console.ask("GET", f"/v1/reviews/{given.review_id}")
    assert read["decisions"] == [answer | {"sent": True}]


async def test_the_same_again_is_the_same_and_is_sent_once(console: Console, ledger: Ledger) -> None:
    given = review(11)
    await keep(ledger, given)
    first = await console.decide(given)
    assert await console.decide(given) == first
    assert await console.decide(given, reason="another reason") == first
    # By then the matcher has acted on it, and the review has moved on; or was withdrawn.
    for moved in (review(11, 2, ReviewStatus.CONFIRMED), review(11, 3, ReviewStatus.WITHDRAWN)):
        await keep(ledger, moved)
        assert await console.decide(given) == first
    assert len(await console.sent(given)) == 1


async def test_the_same_at_the_same_time_is_one_decision(console: Console, ledger: Ledger) -> None:
    given = review(12)
    await keep(ledger, given)
    answers = await asyncio.gather(*(console.decide(given) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 202
    assert len({record.value for record in await console.sent(given)}) == 1


async def test_a_second_decision_overrides_whatever_the_clock_says(console: Console, ledger: Ledger) -> None:
    given = review(13)
    await keep(ledger, given)
    _, first = await console.decide(given)
    # An instance whose clock is ahead made the first one.
    ahead = msgspec.convert(first["decision"], ReviewDecision).decided_at + timedelta(minutes=5)
    await ledger.pool.execute("update decisions set decided_at = $1", ahead)
    status, second = await console.decide(given, "reject", reviewer="S. Econd")
    assert status == 202
    assert msgspec.convert(second["decision"], ReviewDecision).decided_at > ahead
    _, read = await console.ask("GET", f"/v1/reviews/{given.review_id}")
    assert [d["decision"]["decision"] for d in read["decisions"]] == ["confirm", "reject"]


async def test_what_was_overtaken_is_not_taken_again(console: Console, ledger: Ledger) -> None:
    """Confirmed, rejected, and the confirmation again, before the matcher has acted or after: 202 would be a lie."""
    given = review(31)
    await keep(ledger, given)
    _, first = await console.decide(given)
    _, other = await console.decide(given, "reject")
    for moved in (given, review(31, 2, ReviewStatus.REJECTED)):
        await keep(ledger, moved)
        status, problem = await console.decide(given)
        assert (status, problem["code"]) == (409, "decision_overtaken")
        assert await console.decide(given, "reject") == (202, other)
    # On the version that says so it is a decision of its own.
    status, again = await console.decide(review(31, 2))
    assert (status, again["decision_id"] != first["decision_id"]) == (202, True)
    assert await console.decide(given) == (202, first), "what holds is what was asked for"


@pytest.mark.parametrize("status", [ReviewStatus.CONFIRMED, ReviewStatus.REJECTED])
async def test_what_was_decided_may_be_decided_again(console: Console, ledger: Ledger, status: ReviewStatus) -> None:
    given = review(14, 2, status)
    await keep(ledger, given)
    assert (await console.decide(given, "reject"))[0] == 202


async def test_nobody_decides_on_what_they_did_not_see(console: Console, ledger: Ledger) -> None:
    given = review(15, 4)
    await keep(ledger, given)
    before = await rows(ledger)
    for seen in (1, 3, 5):
        status, problem = await console.decide(given, version=seen)
        assert (status, problem["code"], problem["newest"]) == (409, "review_changed", 4)
    await keep(ledger, review(16, 2, ReviewStatus.WITHDRAWN))
    status, problem = await console.decide(review(16, 2))
    assert (status, problem["code"]) == (409, "review_closed")
    status, problem = await console.decide(review(17))
    assert (status, problem["code"]) == (404, "review_unknown")
    assert (await console.ask("GET", f"/v1/reviews/{review(17).review_id}"))[1]["code"] == "review_unknown"
    assert [row for row in await rows(ledger) if row in before] == before
    assert await ledger.pool.fetchval("select count(*) from decisions") == 0
    assert await console.sent(given) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": "maybe"}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reviewer": ""},
        {"reviewer": " \t"}, {"reviewer": "x" * 201}, {"version": 0}, {"version": 2**31}, {"version": "1"},
        {"note": "x"}, {"reason": None}, {"reviewer": "a\x00b"},
    ],
)  # fmt: skip
async def test_what_is_no_decision_is_refused(console: Console, ledger: Ledger, changes: dict[str, Any]) -> None:
    given = review(18)
    await keep(ledger, given)
    assert (await console.decide(given, **changes))[0] == 422
    assert await ledger.pool.fetchval("select count(*) from decisions") == 0


@pytest.mark.parametrize("missing", ["version", "decision", "reason", "reviewer"])
async def test_a_decision_says_who_why_and_on_what(console: Console, ledger: Ledger, missing: str) -> None:
    given = review(19)
    await keep(ledger, given)
    body = {"version": 1, "decision": "confirm", "reason": "same scar", "reviewer": "R. Viewer"}
    del body[missing]
    path = f"/v1/reviews/{given.review_id}/decision"
    assert (await console.ask("POST", path, body))[0] == 422
    assert await ledger.pool.fetchval("select count(*) from decisions") == 0


@pytest.mark.parametrize(
    ("by", "status"), [(None, 401), ("not a key", 401), ("off", 401), (AGENCY, 403), (OTHER, 403), ("jail", 403)]
)
async def test_only_reviewers_look_and_decide(console: Console, ledger: Ledger, by: str | None, status: int) -> None:
    given = review(20)
    await keep(ledger, given)
    body = {"version": 1, "decision": "confirm", "reason": "same scar", "reviewer": "R. Viewer"}
    for method, path, asked in (
        ("GET", "/v1/reviews", None),
        ("GET", f"/v1/reviews/{given.review_id}", None),
        ("GET", "/v1/reviews/rev_none", None),
        ("POST", f"/v1/reviews/{given.review_id}/decision", body),
        ("POST", "/v1/reviews/rev_none/decision", {}),
    ):
        answered, problem = await console.call(method, path, asked, by=by)
        assert answered == status, path
        assert "Exampleson" not in str(problem)
    assert await ledger.pool.fetchval("select count(*) from decisions") == 0
    assert (await console.decide(given))[0] == 202


async def test_before_the_registry_is_read_nobody_is_refused(console: Console) -> None:
    console.table.restored = False
    assert (await console.ask("GET", "/v1/reviews"))[0] == 503


async def test_a_database_that_is_away_is_503(console: Console, ledger: Ledger) -> None:
    given = review(21)
    await keep(ledger, given)
    pool, ledger.pool = ledger.pool, _Away()
    for answer in (
        await console.ask("GET", "/v1/reviews"),
        await console.ask("GET", f"/v1/reviews/{given.review_id}"),
        await console.decide(given),
    ):
        assert (answer[0], answer[1]["code"]) == (503, "unavailable")
    ledger.pool = pool
    assert (await console.decide(given))[0] == 202


class _Away:
    """A pool whose server does not listen."""

    async def fetch(self, *_: Any) -> Any:
        raise ConnectionRefusedError

    fetchval = fetch

    def acquire(self) -> Any:
        raise ConnectionRefusedError
