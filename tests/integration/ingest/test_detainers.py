"""POST /v1/detainers on a real Kafka, and `sallyport detainers import`, `sallyport feed events`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contracts.ids import detainer_id
from deploy.demo.processes import NotReady, ProcessGroup, ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.ingest.conftest import ingest_on
from tests.integration.ingest.support import AGENCY, AGENCY_KEY, JAIL_KEY, Topic, bearer, booked, header, lodge


async def post(
    http: aiohttp.ClientSession, ingest: ServiceProcess, body: Any, key: str = AGENCY_KEY
) -> tuple[int, dict[str, Any]]:
    async with http.post(
        f"{ingest.url}/v1/detainers", data=json.dumps(body).encode(), headers=bearer(key, "application/json")
    ) as answer:
        return answer.status, await answer.json(content_type=None)


def lift(reference: str, day: int = 2) -> dict[str, Any]:
    return {
        "action": "lift",
        "agency": AGENCY,
        "agency_reference": reference,
        "occurred_at": f"2023-01-{day:02}T09:00:00-05:00",
        "reason": "case closed",
    }


def supersede(reference: str, by: str) -> dict[str, Any]:
    return {
        "action": "supersede",
        "agency": AGENCY,
        "agency_reference": reference,
        "occurred_at": "2023-01-02T09:00:00-05:00",
        "by": by,
    }


def versions(stack: StackInfo, reference: str) -> list[dict[str, Any]]:
    records = Topic(stack.kafka_bootstrap_servers, "detainers.v1").records()
    key = detainer_id(AGENCY, reference).encode()
    return [json.loads(r.value) for r in records if r.key == key]


async def test_the_whole_detainer_is_on_the_topic_and_its_end_carries_the_person_over(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    name = detainer_id(AGENCY, "D-1")
    assert await post(http, ingest, lodge("D-1")) == (202, {"detainer_id": name, "status": "accepted"})
    assert await post(http, ingest, lodge("D-1")) == (202, {"detainer_id": name, "status": "unchanged"})
    assert await post(http, ingest, lift("D-1")) == (202, {"detainer_id": name, "status": "accepted"})

    first, last = versions(registered, "D-1")
    assert (first["state"], last["state"]) == ("active", "lifted")
    assert first["person"] == last["person"] == lodge("D-1")["person"]
    (record, _) = [
        r for r in Topic(registered.kafka_bootstrap_servers, "detainers.v1").records() if r.key == name.encode()
    ]
    assert header(record, "ce_source") == "test-agency"


async def test_a_new_form_supersedes_the_old_one_and_a_facility_declines(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    """The successor may be lodged before or after; the same command again changes nothing."""
    decline = lift("D-11") | {"action": "decline", "reason": "no judicial warrant"}
    status, answer = await post(
        http, ingest, [lodge("D-8"), lodge("D-9"), supersede("D-8", "D-9"), supersede("D-9", "D-10"), lodge("D-10")]
    )
    assert (status, {r["status"] for r in answer["results"]}) == (202, {"accepted"})
    assert (await post(http, ingest, [lodge("D-11"), decline]))[0] == 202
    assert (await post(http, ingest, supersede("D-8", "D-9")))[1]["status"] == "unchanged"

    _, old = versions(registered, "D-8")
    assert (old["state"], old["superseded_by"], old["ended_at"]) == ("superseded", "D-9", "2023-01-02T09:00:00-05:00")
    assert versions(registered, "D-9")[-1]["superseded_by"] == "D-10"
    assert [v["state"] for v in versions(registered, "D-10")] == ["active"]
    declined = versions(registered, "D-11")[-1]
    assert (declined["state"], declined["end_reason"]) == ("declined", "no judicial warrant")


async def test_refusals(http: aiohttp.ClientSession, ingest: ServiceProcess) -> None:
    await post(http, ingest, [lodge("D-2"), lodge("D-3"), lift("D-3")])
    cases: list[tuple[Any, int, str]] = [
        (lift("D-unknown"), 404, "detainer_unknown"),
        (lodge("D-2", intent="NOTIFY_ONLY"), 409, "detainer_exists"),
        (lift("D-2", day=1), 409, "stale_version"),
        (lift("D-3", day=3), 409, "detainer_ended"),
        (supersede("D-3", "D-2"), 409, "detainer_ended"),
        (supersede("D-2", "D-2"), 422, "superseded_by_itself"),
        (lodge("D-4", agency="OTHER0099"), 403, "forbidden"),
        (lodge("D-4", expires="2024-01-01T00:00:00Z"), 422, "unknown_field"),
        ("lodge", 422, "wrong_type"),
    ]
    for body, status, code in cases:
        answered, answer = await post(http, ingest, body)
        assert (answered, answer["code"]) == (status, code)
    assert (await post(http, ingest, lodge("D-4"), JAIL_KEY))[0] == 403


async def test_a_batch_is_carried_out_in_its_order_and_says_what_became_of_each(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    status, answer = await post(http, ingest, [lodge("D-5"), lift("D-5"), lift("D-5", day=3), lodge("D-5"), 7])

    assert status == 207
    assert [(r["status"], r.get("code")) for r in answer["results"]] == [
        ("accepted", None),
        ("accepted", None),
        ("rejected", "detainer_ended"),
        ("rejected", "detainer_exists"),
        ("rejected", "wrong_type"),
    ]
    assert [v["state"] for v in versions(registered, "D-5")] == ["active", "lifted"]


async def test_at_once_from_many_sides_one_lodges_it(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    bodies = [lodge("D-6", intent=intent) for intent in ("HOLD", "NOTIFY_ONLY") * 10]
    statuses = [status for status, _ in await asyncio.gather(*(post(http, ingest, body) for body in bodies))]

    assert sorted(set(statuses)) == [202, 409]
    assert statuses.count(202) == 10  # one accepted, nine unchanged
    assert len(versions(registered, "D-6")) == 1


async def test_after_a_restart_it_knows_what_was_lodged(
    http: aiohttp.ClientSession, registered: StackInfo, tmp_path: Path
) -> None:
    with ingest_on(registered.kafka_bootstrap_servers, tmp_path) as process:
        assert (await post(http, process, lodge("D-7")))[1]["status"] == "accepted"
        process.kill()
        process.start()
        await asyncio.to_thread(process.wait_ready)  # not on the loop: it has to see its connections end
        assert (await post(http, process, lodge("D-7")))[1]["status"] == "unchanged"
        assert (await post(http, process, lift("D-7")))[1]["status"] == "accepted"


def command(tmp_path: Path, ingest: ServiceProcess, key: str, *arguments: str) -> str:
    settings = {"SALLYPORT_INGEST_URL": ingest.url, "SALLYPORT_API_KEY": key, "COLUMNS": "160"}
    with ProcessGroup(tmp_path) as group:
        return group.run(list(arguments), settings)


@pytest.mark.parametrize("as_array", [False, True])
def test_detainers_are_imported_from_a_file(
    ingest: ServiceProcess, registered: StackInfo, tmp_path: Path, as_array: bool
) -> None:
    commands = [lodge(f"I-{as_array}-{n}") for n in range(25)]
    file = tmp_path / "detainers.json"
    file.write_text(json.dumps(commands) if as_array else "\n".join(map(json.dumps, commands)))

    said = command(tmp_path, ingest, AGENCY_KEY, "detainers", "import", str(file), "--batch", "10")
    assert "accepted" in said and "25" in said
    assert "unchanged" in command(tmp_path, ingest, AGENCY_KEY, "detainers", "import", str(file))
    assert versions(registered, f"I-{as_array}-24")

    old, new = f"I-{as_array}-0", f"I-{as_array}-1"
    file.write_text(json.dumps([supersede(old, new)]) if as_array else json.dumps(supersede(old, new)))
    command(tmp_path, ingest, AGENCY_KEY, "detainers", "import", str(file))
    assert versions(registered, old)[-1]["superseded_by"] == new

    file.write_text(json.dumps(lift("I-nobody")) + "\nnot json\n" + json.dumps(lodge("I-good")) + "\n")
    with pytest.raises(NotReady, match=r"status 1.*detainer_unknown.*malformed_json"):
        command(tmp_path, ingest, AGENCY_KEY, "detainers", "import", str(file))
    assert versions(registered, "I-good")


def test_events_are_fed_from_a_file(ingest: ServiceProcess, registered: StackInfo, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(booked(f"F-{n}")) for n in range(120)))

    assert "120" in command(tmp_path, ingest, JAIL_KEY, "feed", "events", str(file), "--batch", "50")

    ids = {header(r, "ce_id") for r in Topic(registered.kafka_bootstrap_servers, "custody.events.v1").records()}
    assert {f"evt-F-{n}" for n in range(120)} <= ids
