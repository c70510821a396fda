"""New York City's rosters over HTTP and through Kafka: what is on the topic is what the files themselves say."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.ingest.support import NYC, NYC_KEY, Topic, header
from tests.tools.roster_truth import NYC_DIRECTORY, Day, roster_truth

ALL = sorted(NYC_DIRECTORY.glob("*.csv.gz"))
# Two stale ones, somebody who comes back, and the day that is missing, 25 January.
DAYS = [
    file for file in ALL if file.name[:8] in ("20230101", "20230102", "20230103", "20230104", "20230124", "20230126")
]
pytestmark = pytest.mark.skipif(not ALL, reason=f"the rosters are not on this machine: {NYC_DIRECTORY}")


async def post(http: aiohttp.ClientSession, ingest: ServiceProcess, file: Path) -> tuple[int, dict[str, object]]:
    raw = await asyncio.to_thread(file.read_bytes)
    day = f"{file.name[:4]}-{file.name[4:6]}-{file.name[6:8]}T00:00:00"
    async with http.post(
        f"{ingest.url}/v1/rosters/{NYC}",
        params={"snapshot_at": day},
        data=raw,
        headers={"Authorization": f"Bearer {NYC_KEY}", "Content-Type": "text/csv"},
    ) as answer:
        return answer.status, await answer.json(content_type=None)


def told(day: Day) -> dict[str, int]:
    return {
        "booked": day.booked,
        "inferred_released": day.released,
        "voided": day.back,
        "updated": day.changed,
    }


async def test_days_over_http_agree_with_the_files(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    truth = roster_truth(DAYS)
    for file, day in zip(DAYS, truth, strict=True):
        status, answer = await post(http, ingest, file)
        assert status == 200, answer
        assert {name: answer[name] for name in told(day)} == told(day)
        assert (answer["rows"], answer["stale"]) == (day.rows, day.stale)

        again = (await post(http, ingest, file))[1]  # the same snapshot: nothing is said twice
        assert again["repeated"] and not any(again[name] for name in told(day))

    status, answer = await post(http, ingest, DAYS[0])
    assert (status, answer["code"]) == (409, "snapshot_out_of_order")

    records = [
        r for r in Topic(registered.kafka_bootstrap_servers, "custody.events.v1").records()
        if header(r, "ce_source") == "test-nyc"
    ]  # fmt: skip
    kinds = Counter(json.loads(record.value)["kind"] for record in records)
    assert kinds == {
        "booked": sum(day.booked for day in truth),
        "released": sum(day.released for day in truth),
        "voided": sum(day.back for day in truth),
        "updated": sum(day.changed for day in truth),
    }
    assert len({header(record, "ce_id") for record in records}) == len(records)
    released = {header(r, "ce_id"): json.loads(r.value) for r in records if b'"released"' in r.value}
    assert all(event["inferred"] and "reason" not in event for event in released.values())
    for record in records:
        event = json.loads(record.value)
        if event["kind"] == "voided":
            assert released[event["voids_event"]]["booking_number"] == event["booking_number"]
            assert event["voids_source"] == "test-nyc"


def test_the_command_line_feeds_a_directory_in_order(
    registered: StackInfo, ingest: ServiceProcess, tmp_path: Path
) -> None:
    later = [file for file in ALL if file.name[:8] in ("20230127", "20230130")]
    for file in later:
        (tmp_path / file.name).symlink_to(file)
    with ProcessGroup(tmp_path / "cli") as group:
        said = group.run(
            ["feed", "roster", str(tmp_path), "--facility", NYC],
            {"SALLYPORT_INGEST_URL": ingest.url, "SALLYPORT_API_KEY": NYC_KEY, "COLUMNS": "160"},
        )
    truth = roster_truth([*DAYS, *later])[-2:]
    for day in truth:
        row = next(line for line in said.splitlines() if day.name in line)
        numbers = [int(word) for word in row.replace("│", " ").split() if word.isdigit()]
        assert numbers[:5] == [day.rows, day.booked, day.changed, day.released, day.back]
