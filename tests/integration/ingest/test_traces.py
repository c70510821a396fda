"""What a sender says of its trace is on the records, however it sends; and no nonsense in it is ever a reject."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from contracts.traceparent import traceparent_of
from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.ingest.support import AGENCY_KEY, JAIL, JAIL_KEY, Topic, bearer, booked, header, lodge

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01"


async def post(
    http: aiohttp.ClientSession, ingest: ServiceProcess, path: str, key: str, media: str, **more: Any
) -> int:
    headers = {**bearer(key, media), **more.pop("headers", {})}
    async with http.post(ingest.url + path, headers=headers, **more) as answer:
        return answer.status


def carried(stack: StackInfo, topic: str) -> dict[str, str | None]:
    """Event id -> its traceparent, of all records of the topic."""
    records = Topic(stack.kafka_bootstrap_servers, topic).records()
    return {header(record, "ce_id"): traceparent_of(record.headers) for record in records}


async def test_a_batch_and_binary_mode(
    registered: StackInfo, ingest: ServiceProcess, http: aiohttp.ClientSession
) -> None:
    batch = [booked("T-1"), {**booked("T-2"), "traceparent": OWN}, {**booked("T-3"), "traceparent": ["no"]}]
    media = "application/cloudevents-batch+json"
    sent = {"traceparent": REQUEST, "tracestate": "vendor=Sample"}
    assert await post(http, ingest, "/v1/events", JAIL_KEY, media, json=batch, headers=sent) == 202
    event = booked("T-4")
    attributes = {f"ce-{name}": event[name] for name in ("specversion", "id", "source", "type")}
    binary = {**attributes, "ce-traceparent": OWN}
    assert (
        await post(http, ingest, "/v1/events", JAIL_KEY, "application/json", json=event["data"], headers=binary) == 202
    )
    found = carried(registered, "custody.events.v1")
    assert {name: found[f"evt-{name}"] for name in ("T-1", "T-2", "T-3", "T-4")} == {
        "T-1": REQUEST, "T-2": OWN, "T-3": REQUEST, "T-4": OWN,
    }  # fmt: skip
    raw = repr([r.headers for r in Topic(registered.kafka_bootstrap_servers, "custody.events.v1").records()])
    assert "vendor" not in raw


@pytest.mark.parametrize("bad", ["", "Sample", "00-0-0-00", OWN + "-more", "é"])
async def test_nonsense_is_no_ground_to_refuse(
    registered: StackInfo, ingest: ServiceProcess, http: aiohttp.ClientSession, bad: str
) -> None:
    event = booked(f"N-{len(bad)}", f"nonsense-{len(bad)}-{bad.isascii()}") | {"traceparent": bad}
    sent = {"traceparent": bad, "ce-traceparent": bad}
    media = "application/cloudevents+json"
    assert await post(http, ingest, "/v1/events", JAIL_KEY, media, json=event, headers=sent) == 202
    assert carried(registered, "custody.events.v1")[event["id"]] is None


async def test_a_roster_a_detainer_and_a_reject(
    registered: StackInfo, ingest: ServiceProcess, http: aiohttp.ClientSession
) -> None:
    before = set(carried(registered, "custody.events.v1"))
    file = "booking,booked,last,first,dob,sex,charge\nR-1,2023-02-01 08:00,Sample,Ann,1990-01-01,F,LARCENY\n"
    sent = {"traceparent": REQUEST}
    path = f"/v1/rosters/{JAIL}?snapshot_at=2023-02-02T00:00:00-05:00"
    assert await post(http, ingest, path, JAIL_KEY, "text/csv", data=file, headers=sent) == 200
    rows = {name: trace for name, trace in carried(registered, "custody.events.v1").items() if name not in before}
    assert set(rows.values()) == {REQUEST}
    lodged = lodge("T-D-1")
    assert await post(http, ingest, "/v1/detainers", AGENCY_KEY, "application/json", json=lodged, headers=sent) == 202
    assert REQUEST in carried(registered, "detainers.v1").values()
    media = "application/cloudevents+json"
    assert await post(http, ingest, "/v1/events", JAIL_KEY, media, data=b"no JSON", headers=sent) == 400
    assert REQUEST in carried(registered, "rejects.v1").values()
