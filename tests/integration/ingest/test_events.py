"""POST /v1/events on a real Kafka: 202 means that it is on the topic, a refusal that its bytes are kept."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp

from contracts.ids import episode_id
from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.ingest.conftest import ingest_on
from tests.integration.ingest.support import (
    AGENCY_KEY,
    JAIL,
    JAIL_KEY,
    OTHER_JAIL,
    Topic,
    bearer,
    booked,
    header,
)

BATCH = "application/cloudevents-batch+json"


async def post(
    http: aiohttp.ClientSession, ingest: ServiceProcess, body: Any, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(f"{ingest.url}/v1/events", data=data, headers=headers) as answer:
        assert answer.content_type == ("application/json" if answer.status < 400 else "application/problem+json")
        return answer.status, await answer.json(content_type=None)


def on_topic(stack: StackInfo, event_id: str) -> list[Any]:
    records = Topic(stack.kafka_bootstrap_servers, "custody.events.v1").records()
    return [record for record in records if header(record, "ce_id") == event_id]


async def test_a_structured_event_answered_202_is_on_the_topic(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    status, answer = await post(http, ingest, booked("B-1"), bearer(JAIL_KEY))

    assert (status, answer) == (202, {"id": "evt-B-1", "status": "accepted"})
    (record,) = on_topic(registered, "evt-B-1")
    assert record.key.decode() == episode_id(JAIL, "B-1")
    assert json.loads(record.value)["kind"] == "booked"
    assert header(record, "ce_source") == "test-jail"
    assert header(record, "ce_type") == "sallyport.custody.booked.v1"
    assert header(record, "ce_time") == "2023-02-01T13:00:00.000000Z"
    assert not any(b"Sample" in (value or b"") for _, value in record.headers)


async def test_binary_mode_is_the_same_event(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    event = booked("B-2", "evt%202")
    headers = bearer(JAIL_KEY, "application/json; charset=utf-8") | {
        f"ce-{name}": event[name] for name in ("specversion", "id", "source", "type")
    }

    assert await post(http, ingest, event["data"], headers) == (202, {"id": "evt 2", "status": "accepted"})
    assert len(on_topic(registered, "evt 2")) == 1


async def test_two_numbers_of_one_person_are_merged(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    event = booked("B-3", "evt-merge")
    event["type"] = "sallyport.custody.merged.v1"
    event["data"] = {"facility": JAIL, "booking_number": "B-3", "occurred_at": "2023-02-01T00:00:00Z",
                     "absorbed": {"kind": "sid", "value": "990098", "issuer": "CT"},
                     "surviving": {"kind": "sid", "value": "990099", "issuer": "CT"}}  # fmt: skip
    assert (await post(http, ingest, event, bearer(JAIL_KEY)))[0] == 202
    (record,) = on_topic(registered, "evt-merge")
    assert json.loads(record.value) == event["data"] | {"kind": "merged"}
    assert header(record, "ce_type") == "sallyport.custody.merged.v1"

    event["id"] = "evt-merge-of-states"
    event["data"]["surviving"]["issuer"] = "MA"
    status, answer = await post(http, ingest, event, bearer(JAIL_KEY))
    assert (status, answer["code"], answer["field"]) == (422, "merge_mismatch", "$.data.surviving.issuer")
    assert on_topic(registered, "evt-merge-of-states") == []


async def test_a_gzipped_batch_says_which_events_were_taken(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    misspelled = booked("B-4")
    misspelled["type"] = "sallyport.custody.released.v1"
    misspelled["data"] = {"facility": JAIL, "booking_number": "B-4", "occurred_at": "2023-02-01T00:00:00Z",
                          "relased_to": "ICETEST99"}  # fmt: skip
    foreign = booked("B-5", facility=OTHER_JAIL)
    body = gzip.compress(json.dumps([booked("B-3"), misspelled, foreign]).encode())

    status, answer = await post(http, ingest, body, bearer(JAIL_KEY, BATCH) | {"Content-Encoding": "gzip"})

    assert status == 207
    assert [(r["index"], r["id"], r["status"], r.get("code"), r.get("field")) for r in answer["results"]] == [
        (0, "evt-B-3", "accepted", None, None),
        (1, "evt-B-4", "rejected", "unknown_field", "$.data.relased_to"),
        (2, "evt-B-5", "rejected", "forbidden", "$.data.facility"),
    ]
    assert len(on_topic(registered, "evt-B-3")) == 1
    assert not on_topic(registered, "evt-B-4")
    kept = {
        r["code"]: json.loads(base64.b64decode(r["raw"]))
        for r in Topic(registered.kafka_bootstrap_servers, "rejects.v1").values()
    }
    assert kept["unknown_field"] == misspelled  # the bytes of that one event
    assert kept["forbidden"] == foreign


async def test_a_batch_of_which_nothing_is_good_is_422(http: aiohttp.ClientSession, ingest: ServiceProcess) -> None:
    status, answer = await post(http, ingest, [{"id": "x"}, 3], bearer(JAIL_KEY, BATCH))

    assert (status, answer["code"]) == (422, "batch_rejected")
    assert [r["code"] for r in answer["results"]] == ["specversion_unsupported", "wrong_type"]


async def test_refused_bytes_are_kept_whole_even_if_they_are_not_text(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    raw = b"\xff\xfe{" + b"x" * 3_000_000  # two parts

    status, answer = await post(http, ingest, raw, bearer(JAIL_KEY))

    assert (status, answer["code"]) == (400, "malformed_json")
    parts = [
        r
        for r in Topic(registered.kafka_bootstrap_servers, "rejects.v1").values()
        if r["code"] == "malformed_json" and r.get("parts") == 2
    ]
    assert b"".join(base64.b64decode(p["raw"]) for p in sorted(parts, key=lambda p: p.get("part", 1))) == raw
    assert len({p["reject_id"] for p in parts}) == 1


async def test_what_is_answered_before_anything_is_kept(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    before = len(Topic(registered.kafka_bootstrap_servers, "rejects.v1").values())

    assert (await post(http, ingest, booked("B-6"), bearer("sallyport_nobody")))[0] == 401
    assert (await post(http, ingest, b"x" * (8 * 1024 * 1024 + 1), bearer(JAIL_KEY)))[1]["code"] == "body_too_large"

    assert len(Topic(registered.kafka_bootstrap_servers, "rejects.v1").values()) == before


async def test_refusals_that_a_sender_can_mend(http: aiohttp.ClientSession, ingest: ServiceProcess) -> None:
    cases: list[tuple[Any, dict[str, str], int, str]] = [
        (booked("B-7"), bearer(JAIL_KEY, "text/plain"), 415, "content_type_unsupported"),
        (booked("B-7"), bearer(JAIL_KEY) | {"Content-Encoding": "br"}, 415, "content_encoding_unsupported"),
        (b"nonsense", bearer(JAIL_KEY) | {"Content-Encoding": "gzip"}, 400, "gzip_invalid"),
        (gzip.compress(b"{}" * 99)[:-9], bearer(JAIL_KEY) | {"Content-Encoding": "gzip"}, 400, "gzip_truncated"),
        (booked("B-7"), bearer(AGENCY_KEY), 422, "source_mismatch"),
        (booked("B-7", facility=OTHER_JAIL), bearer(JAIL_KEY), 403, "forbidden"),
        (booked("B-7"), bearer(JAIL_KEY, "application/json"), 422, "specversion_unsupported"),
        ([booked("B-7")] * 2001, bearer(JAIL_KEY, BATCH), 413, "batch_too_large"),
    ]
    for body, headers, status, code in cases:
        answered, answer = await post(http, ingest, body, headers)
        assert (answered, answer["code"]) == (status, code)


async def test_headers_that_are_not_text_are_refused_too(ingest: ServiceProcess) -> None:
    """Written by hand, since no client sends such a thing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + JAIL_KEY.encode() + b"\r\n"
        b"Content-Type: application/json; x=\xff\r\nce-specversion: 1.0\r\nce-id: \xff\r\nce-source: test-jail\r\n"
        b"ce-type: sallyport.custody.died.v1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 422 ") and b'"field":"ce-id"' in answer


async def test_sigterm_under_load_answers_what_it_has_in_hand(registered: StackInfo, tmp_path: Path) -> None:
    """Every request that was sent whole gets its answer, or its connection is refused; what got 202 is on the topic."""
    accepted: list[str] = []
    cut_off: list[str] = []
    with ingest_on(registered.kafka_bootstrap_servers, tmp_path) as process:

        async def jail(name: int) -> None:
            for n in range(100_000):
                event = booked(f"S-{name}-{n}")
                try:
                    async with aiohttp.ClientSession() as session:
                        status, _ = await post(session, process, event, bearer(JAIL_KEY))
                except aiohttp.ClientConnectorError:
                    return  # it takes no more
                except aiohttp.ClientError:
                    cut_off.append(event["id"])
                    return
                assert status in (202, 503), status  # 503: come again
                if status == 202:
                    accepted.append(event["id"])

        jails = [asyncio.create_task(jail(name)) for name in range(16)]
        async with asyncio.timeout(60):
            while len(accepted) < 200:  # noqa: ASYNC110 - several tasks add to it
                await asyncio.sleep(0.01)
        process.ask_to_end()
        await asyncio.gather(*jails)
        assert await asyncio.to_thread(process.wait_exit, 60) == 0
    ids = {header(r, "ce_id") for r in Topic(registered.kafka_bootstrap_servers, "custody.events.v1").records()}
    assert set(accepted) <= ids
    assert not set(cut_off) & ids  # nobody was left without an answer for what was taken


async def test_an_empty_batch_is_taken(http: aiohttp.ClientSession, ingest: ServiceProcess) -> None:
    assert await post(http, ingest, [], bearer(JAIL_KEY, BATCH)) == (202, {"results": []})


async def test_nothing_personal_is_in_its_log(ingest: ServiceProcess) -> None:
    assert "Sample" not in ingest.log_text()
    assert "relased_to" not in ingest.log_text()
