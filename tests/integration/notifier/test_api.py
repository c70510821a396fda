"""The API on a real ledger: an agency sees its own and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from contracts.types.conflict import Stage
from contracts.types.registry import Agency, AgencyCategory, Source
from services.notifier.adapters.webhook import WebhookSender
from services.notifier.api.edge import Desk
from services.notifier.api.notices import Notices
from services.notifier.api.subscriptions import Subscriptions
from services.platform.health import Health
from services.platform.http.edge import Edge
from services.platform.kafka.clients import make_broker
from services.platform.registry import RegistryTable, hash_key, new_key
from tests.integration.notifier.claiming import claim, finish
from tests.integration.notifier.support import BOX, Ledger, Receiver, settings
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, OTHER, conflict


class Api:
    """The edge, listening, and calls on behalf of an agency."""

    def __init__(self, url: str, session: aiohttp.ClientSession, table: RegistryTable) -> None:
        self.url = url
        self.table = table
        self._session = session
        self.keys = {AGENCY: new_key(), OTHER: new_key(), "jail": new_key(), "ended": new_key(), "off": new_key()}
        for agency in (AGENCY, OTHER):
            table.registry.put(Agency(id=agency, name=agency, category=AgencyCategory.SHERIFF))
        table.registry.put(Agency(id="ENDED0001", name="Ended", category=AgencyCategory.SHERIFF, active=False))
        speaks: dict[str, str | None] = {
            AGENCY: AGENCY,
            OTHER: OTHER,
            "jail": None,
            "ended": "ENDED0001",
            "off": AGENCY,
        }
        for number, (name, key) in enumerate(self.keys.items()):
            source = Source(
                id=f"source-{number}", key_sha256=[hash_key(key)], agency=speaks[name], active=name != "off"
            )
            table.registry.put(source)

    async def call(self, method: str, path: str, body: Any = None, *, by: str | None = AGENCY) -> tuple[int, Any]:
        headers = {} if by is None else {"Authorization": f"Bearer {self.keys.get(by, by)}"}
        async with self._session.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.read()
            assert not text or "json" in answer.headers["Content-Type"]
            return answer.status, await answer.json(content_type=None) if text else None


@pytest.fixture
async def api(ledger: Ledger) -> AsyncIterator[Api]:
    chosen = settings(allow_plain_http=True, smtp_host="mail.example", webhook_deadline_s=2.0)
    table = RegistryTable(make_broker(chosen), fatal=lambda error: None)
    table.restored = True
    webhooks = WebhookSender(deadline_s=2.0, response_limit=1000, connections=4, allow_private=True)
    await webhooks.start()
    desk = Desk(table, lambda: ledger.pool)
    routes = [
        *Subscriptions(desk, chosen, BOX, webhooks, changed=lambda: None).routes(),
        *Notices(desk, changed=lambda: None).routes(),
    ]
    edge = Edge("test", Health(), host="127.0.0.1", port=0, routes=routes, max_body_bytes=64 * 1024)
    await edge.start()
    async with aiohttp.ClientSession() as session:
        yield Api(f"http://127.0.0.1:{edge.port}", session, table)
    await edge.stop(0.1)
    await webhooks.stop()


async def _one_of_each(api: Api, ledger: Ledger) -> dict[str, str]:
    """A subscription, a notice and a failing delivery of AGENCY: what an address names."""
    status, made = await api.call("POST", "/v1/subscriptions", {"channel": "webhook", "url": "http://127.0.0.1:1/x"})
    assert status == 201
    await ledger.tell(conflict())
    (got,) = await claim(ledger.pool)
    await finish(ledger, [got], False)
    return {
        "subscription_id": made["subscription_id"],
        "notice_id": got.notice_id,
        "delivery_id": got.delivery_id,
    }


NAMED: list[tuple[str, str, Any]] = [
    ("GET", "/v1/subscriptions/{subscription_id}", None),
    ("POST", "/v1/subscriptions/{subscription_id}/pause", None),
    ("POST", "/v1/subscriptions/{subscription_id}/resume", None),
    ("POST", "/v1/subscriptions/{subscription_id}/ping", None),
    ("GET", "/v1/notices/{notice_id}", None),
    ("POST", "/v1/notices/{notice_id}/acknowledge", {"response": "received"}),
    ("POST", "/v1/deliveries/{delivery_id}/retry", None),
    ("DELETE", "/v1/subscriptions/{subscription_id}", None),
]
UNNAMED: list[tuple[str, str, Any]] = [
    ("GET", "/v1/subscriptions", None),
    ("POST", "/v1/subscriptions", {"channel": "webhook", "url": "http://127.0.0.1:1/x"}),
    ("GET", "/v1/notices", None),
]


async def test_every_operation_is_in_these_tests(api: Api) -> None:
    _, document = await api.call("GET", "/openapi.json", by=None)
    served = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "security" in operation
    }
    assert served == {(method, path) for method, path, _ in [*NAMED, *UNNAMED]}


async def test_another_agencys_ids_are_not_there_and_nothing_changes(api: Api, ledger: Ledger) -> None:
    names = await _one_of_each(api, ledger)
    before = await ledger.all_rows()
    for method, path, body in NAMED:
        theirs = await api.call(method, path.format(**names), body, by=OTHER)
        nobodys = await api.call(method, path.format(**dict.fromkeys(names, "sub_none")), body, by=OTHER)
        assert theirs[0] == 404, path
        assert theirs == nobodys, "the answer tells that it is there"
    assert await ledger.all_rows() == before
    assert (await api.call("GET", "/v1/subscriptions", by=OTHER))[1] == {"subscriptions": []}
    assert (await api.call("GET", "/v1/notices", by=OTHER))[1]["notices"] == []
    # The same calls by their owner are answered, so that it is the agency that made the difference.
    for method, path, body in NAMED:
        assert (await api.call(method, path.format(**names), body))[0] in (200, 202, 204, 409), path


@pytest.mark.parametrize(
    ("by", "status"), [(None, 401), ("not a key", 401), ("off", 401), ("jail", 403), ("ended", 403)]
)
async def test_who_may_not_ask(api: Api, ledger: Ledger, by: str | None, status: int) -> None:
    names = await _one_of_each(api, ledger)
    before = await ledger.all_rows()
    for method, path, body in [*NAMED, *UNNAMED]:
        assert (await api.call(method, path.format(**names), body, by=by))[0] == status, path
    assert await ledger.all_rows() == before


async def test_before_the_registry_is_read_nobody_is_told_that_their_key_is_wrong(api: Api) -> None:
    api.table.restored = False
    status, problem = await api.call("GET", "/v1/notices")
    assert (status, problem["code"]) == (503, "unavailable")


async def test_a_secret_is_shown_once_and_kept_from_the_database(api: Api, ledger: Ledger, receiver: Receiver) -> None:
    _, made = await api.call("POST", "/v1/subscriptions", {"channel": "webhook", "url": receiver.url + "/hook"})
    secret = made["secret"]
    assert secret.startswith("whsec_")
    name = made["subscription_id"]
    for path in ("/v1/subscriptions", f"/v1/subscriptions/{name}"):
        assert secret not in str(await api.call("GET", path))
    stored = str(await ledger.all_rows())
    assert name in stored
    assert secret not in stored
    assert secret.removeprefix("whsec_") not in stored
    assert repr(BOX.signing_key(await ledger.pool.fetchval("select secret_encrypted from subscriptions"))) not in stored
    status, outcome = await api.call("POST", f"/v1/subscriptions/{name}/ping")
    assert (status, outcome) == (200, {"delivered": True, "http_status": 200, "error": None})
    ping = Webhook(secret).verify(receiver.bodies[0], receiver.headers[0])
    assert ping["type"] == "notice.ping"
    assert ping["data"] == {"subscription_id": name}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"channel": "webhook", "url": "ftp://a.example/"}, "url_not_https", "url"),
        ({"channel": "webhook", "url": "https://u:p@a.example/"}, "url_invalid", "url"),
        ({"channel": "webhook"}, "body_invalid", None),
        ({"channel": "webhook", "url": "https://a.example/", "agency": OTHER}, "body_invalid", None),
        ({"channel": "pigeon"}, "body_invalid", "$.channel"),
        ({"channel": "email", "address": "not an address"}, "address_invalid", "address"),
        ({"channel": "email", "address": "a@b.example\r\nBcc: c@d.example"}, "address_invalid", "address"),
        ({"channel": "email", "address": "a\x00@b.example"}, "address_invalid", "address"),
        ([], "body_invalid", None),
    ],
)
async def test_what_may_not_be_subscribed_says_why(
    api: Api, ledger: Ledger, body: Any, code: str, field: str | None
) -> None:
    status, problem = await api.call("POST", "/v1/subscriptions", body)
    assert (status, problem["code"]) == (422, code), problem
    assert field is None or problem["field"] == field
    assert await ledger.pool.fetchval("select count(*) from subscriptions") == 0


async def test_pages_are_stable_while_notices_are_added(api: Api, ledger: Ledger) -> None:
    await ledger.tell(*(conflict(n) for n in range(7)))
    await ledger.tell(*(conflict(n) for n in range(7, 13)))
    await ledger.tell(*(conflict(n, agency=OTHER) for n in range(5)))
    first_13 = {
        row["notice_id"]
        for row in await ledger.pool.fetch("select notice_id from notices where recipient = $1", AGENCY)
    }
    seen: list[str] = []
    cursor = ""
    number = 100
    while True:
        status, page = await api.call("GET", f"/v1/notices?limit=3{cursor}")
        assert status == 200
        seen += [notice["notice_id"] for notice in page["notices"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await ledger.tell(conflict(number := number + 1))
    assert len(seen) == len(set(seen)) == 13
    assert set(seen) == first_13
    _, page = await api.call("GET", "/v1/notices?limit=4")
    times = [notice["created_at"] for notice in page["notices"]]
    assert times == sorted(times, reverse=True)
    assert not {n["notice_id"] for n in page["notices"]} & first_13


async def test_pages_narrow_by_status_stage_and_time(api: Api, ledger: Ledger) -> None:
    await ledger.tell(conflict(1), conflict(2, stage=Stage.IN_CUSTODY))
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+", "%2B")
    for query, count in (
        ("", 2), ("stage=released", 1), ("stage=closed", 0), ("status=no_subscription", 2), ("status=pending", 0),
        (f"since={soon}", 0), ("since=2026-01-01T00:00:00Z", 2),
    ):  # fmt: skip
        assert len((await api.call("GET", f"/v1/notices?{query}"))[1]["notices"]) == count, query


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=-1", "status=lost", "stage=lost", "since=yesterday",
     "since=2026-01-01T00:00:00", "cursor=x", "cursor=WzEsMl0=", "cursor=%00", "cursor=%C3%A9",
     "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwibnRjIl0=",  # a time without an offset
     "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsIlx1MDAwMCJd"],  # an id with a NUL
)  # fmt: skip
async def test_a_parameter_that_is_wrong_is_the_callers_mistake(api: Api, query: str) -> None:
    status, problem = await api.call("GET", f"/v1/notices?{query}")
    assert status == 422, problem
    assert problem["code"] in ("parameter_invalid", "cursor_invalid")


@pytest.mark.parametrize(("method", "path", "body"), NAMED)
async def test_an_id_that_no_text_can_be_is_not_there(api: Api, method: str, path: str, body: Any) -> None:
    odd = path.format(subscription_id="a%00b", notice_id="a%00b", delivery_id="a%00b")
    status, problem = await api.call(method, odd, body)
    assert status in (404, 422), problem


async def test_an_acknowledgement_is_recorded_told_and_stops_what_waits(api: Api, ledger: Ledger) -> None:
    names = await _one_of_each(api, ledger)
    path = f"/v1/notices/{names['notice_id']}"
    status, notice = await api.call("POST", path + "/acknowledge", {"response": "will_pick_up", "note": "unit 4"})
    assert status == 200
    assert (notice["status"], notice["acknowledgement"]) == ("acknowledged", "will_pick_up")
    assert [d["status"] for d in notice["deliveries"]] == ["superseded"]
    assert [a["outcome"] for a in notice["deliveries"][0]["attempts"]] == ["failed"]
    assert (await api.call("GET", path))[1] == notice
    (event,) = await ledger.pool.fetch("select * from outbox")
    assert event["outcome"] == "acknowledged"
    assert b"unit 4" not in event["value"]
    _, again = await api.call("POST", path + "/acknowledge", {"response": "declined"})
    assert again["acknowledgement"] == "declined"
    status, problem = await api.call("POST", f"/v1/deliveries/{names['delivery_id']}/retry")
    assert (status, problem["code"]) == (409, "delivery_superseded")
    for body in (
        {"response": "maybe"},
        {},
        {"response": "received", "note": "x" * 501},
        {"response": "received", "x": 1},
    ):
        assert (await api.call("POST", path + "/acknowledge", body))[0] == 422, body


async def test_an_acknowledgement_ends_the_retries_of_what_is_under_way(api: Api, ledger: Ledger) -> None:
    await api.call("POST", "/v1/subscriptions", {"channel": "webhook", "url": "http://127.0.0.1:1/x"})
    await ledger.tell(conflict())
    (got,) = await claim(ledger.pool)
    await api.call("POST", f"/v1/notices/{got.notice_id}/acknowledge", {"response": "received"})
    await finish(ledger, [got], False)
    assert set((await ledger.deliveries()).values()) == {"superseded"}
    assert set((await ledger.notices()).values()) == {"acknowledged"}


async def test_a_retry_is_due_at_once_and_refused_while_under_way_or_without_an_endpoint(
    api: Api, ledger: Ledger
) -> None:
    names = await _one_of_each(api, ledger)
    path = f"/v1/deliveries/{names['delivery_id']}/retry"
    assert await claim(ledger.pool) == []
    assert await api.call("POST", path) == (202, {"was": "pending"})
    (got,) = await claim(ledger.pool)
    assert (got.attempt, got.failures) == (2, 0)
    status, problem = await api.call("POST", path)
    assert (status, problem["code"]) == (409, "delivery_under_way")
    await finish(ledger, [got], True)
    assert await api.call("POST", path) == (202, {"was": "delivered"})
    await finish(ledger, await claim(ledger.pool), True)
    assert (await api.call("DELETE", f"/v1/subscriptions/{names['subscription_id']}"))[0] == 204
    status, problem = await api.call("POST", path)
    assert (status, problem["code"]) == (409, "subscription_deleted")


async def test_a_subscriptions_life(api: Api, ledger: Ledger) -> None:
    _, mail = await api.call("POST", "/v1/subscriptions", {"channel": "email", "address": "desk@agency.example"})
    assert "secret" not in mail
    name = mail["subscription_id"]
    assert (await api.call("POST", f"/v1/subscriptions/{name}/ping"))[1]["code"] == "not_a_webhook"
    assert (await api.call("POST", f"/v1/subscriptions/{name}/pause"))[1]["status"] == "paused"
    await ledger.tell(conflict())
    assert await claim(ledger.pool, channel="email") == []
    assert (await api.call("POST", f"/v1/subscriptions/{name}/resume"))[1]["status"] == "active"
    assert len(await claim(ledger.pool, channel="email")) == 1
    assert [s["subscription_id"] for s in (await api.call("GET", "/v1/subscriptions"))[1]["subscriptions"]] == [name]
    assert (await api.call("DELETE", f"/v1/subscriptions/{name}"))[0] == 204
    assert (await api.call("GET", f"/v1/subscriptions/{name}"))[0] == 404
    assert (await api.call("POST", f"/v1/subscriptions/{name}/resume"))[0] == 404
    assert (await api.call("GET", "/v1/subscriptions"))[1] == {"subscriptions": []}


async def test_a_database_that_is_away_is_503_and_comes_back(api: Api, ledger: Ledger) -> None:
    async def answers() -> bool:
        return (await api.call("GET", "/v1/notices"))[0] == 200

    assert await answers()
    pool, ledger.pool = ledger.pool, _Away()
    status, problem = await api.call("GET", "/v1/notices")
    assert (status, problem["code"]) == (503, "unavailable")
    ledger.pool = pool
    await eventually(answers)


class _Away:
    """A pool whose server does not listen."""

    async def fetch(self, *_: Any) -> Any:
        raise ConnectionRefusedError
