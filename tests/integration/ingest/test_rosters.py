"""Roster files that are not as they should be, over HTTP; who may post, at the same time too; and kill -9."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.ingest.conftest import ingest_on
from tests.integration.ingest.support import JAIL, JAIL_KEY, NYC, NYC_KEY, Topic, bearer, header

HEADER = "inmateid,admitted_dt,gender,top_charge\n"


def roster(numbers: range | list[int], charge: str = "120.00") -> bytes:
    return (HEADER + "".join(f"{n},2023-01-01T08:00:00.000,M,{charge}\n" for n in numbers)).encode()


async def post(
    http: aiohttp.ClientSession, url: str, body: bytes, at: str, key: str = NYC_KEY, facility: str = NYC, **query: str
) -> tuple[int, dict[str, Any]]:
    async with http.post(
        f"{url}/v1/rosters/{facility}",
        params={"snapshot_at": at, **query},
        data=body,
        headers=bearer(key, "text/csv"),
    ) as answer:
        return answer.status, await answer.json(content_type=None)


def rejects(stack: StackInfo, code: str) -> list[dict[str, Any]]:
    return [r for r in Topic(stack.kafka_bootstrap_servers, "rejects.v1").values() if r["code"] == code]


async def test_a_snapshot_that_seems_half_sent_is_stopped_and_kept_until_somebody_forces_it(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    assert (await post(http, ingest.url, roster(range(100)), "2023-03-01"))[0] == 200
    half = roster(range(50))

    status, answer = await post(http, ingest.url, half, "2023-03-02")

    assert (status, answer["code"]) == (422, "snapshot_too_small")
    (kept,) = rejects(registered, "snapshot_too_small")
    assert base64.b64decode(kept["raw"]) == half
    status, answer = await post(http, ingest.url, half, "2023-03-02", force="true")
    assert (status, answer["inferred_released"]) == (200, 50)
    status, answer = await post(http, ingest.url, roster(range(100)), "2023-03-03")
    assert (answer["voided"], answer["unchanged"], answer["booked"]) == (50, 50, 0)


async def test_odd_rows_are_kept_and_hide_nobody(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    await post(http, ingest.url, roster(range(100)), "2023-03-04")
    odd = roster(range(2, 100)) + b",2023-01-01T08:00:00.000,M,120.00\n" + b"1,2023-01-01T08:00:00.000,M\n"

    answer = (await post(http, ingest.url, odd, "2023-03-05"))[1]
    # 1 is there, in a row that is short; 0 may be the one without a number.
    assert (answer["withheld"], answer["inferred_released"], answer["rejected"]) == (1, 0, 2)
    assert {base64.b64decode(r["raw"]) for r in rejects(registered, "blank_booking_number")} == {
        b",2023-01-01T08:00:00.000,M,120.00\n"
    }
    answer = (await post(http, ingest.url, roster(range(1, 100)), "2023-03-06"))[1]
    assert (answer["withheld"], answer["inferred_released"]) == (0, 1)


async def test_files_that_cannot_be_read_are_answered_with_a_code(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo
) -> None:
    good = roster(range(100))
    cases = [
        (gzip.compress(good)[:-20], 400, "gzip_truncated"),
        (good.replace(b",M,", b",\xff,"), 422, "not_utf8"),
        (good.replace(b"inmateid", b"inmate"), 422, "column_missing"),
        (b"", 422, "header_missing"),
    ]
    for body, status, code in cases:
        answered, answer = await post(http, ingest.url, body, "2023-03-07")
        assert (answered, answer["code"]) == (status, code)
        assert [base64.b64decode(r["raw"]) for r in rejects(registered, code)] == [body]
    assert (await post(http, ingest.url, good, "tomorrow"))[1]["field"] == "snapshot_at"
    assert (await post(http, ingest.url, good, "2900-01-01"))[1]["code"] == "snapshot_in_future"
    assert (await post(http, ingest.url, good, "2023-03-07", JAIL_KEY))[0] == 403
    assert (await post(http, ingest.url, good, "2023-03-07", "sallyport_nobody"))[0] == 401


async def test_two_instances_given_the_same_snapshot_say_it_once(
    http: aiohttp.ClientSession, ingest: ServiceProcess, registered: StackInfo, tmp_path: Path
) -> None:
    body = roster(range(1000, 1400))
    with ingest_on(registered.kafka_bootstrap_servers, tmp_path) as other:

        async def until_taken(url: str) -> dict[str, Any]:
            async with asyncio.timeout(60):
                while True:
                    status, answer = await post(http, url, body, "2023-03-10", force="true")
                    if status == 200:
                        return answer
                    assert status == 503, answer  # fenced by the other one, or the other way round

        answers = await asyncio.gather(*(until_taken(url) for url in (ingest.url, other.url) * 2))

    assert sorted(answer["booked"] for answer in answers) == [0, 0, 0, 400]
    bookings = {f"{n}/2023-01-01T08:00:00.000" for n in range(1000, 1400)}
    records = Topic(registered.kafka_bootstrap_servers, "custody.events.v1").records()
    events = [r for r in records if json.loads(r.value)["booking_number"] in bookings and b'"booked"' in r.value]
    assert len(events) == 400 == len({header(r, "ce_id") for r in events})


@pytest.mark.parametrize("round_", range(3))
async def test_killed_in_the_middle_it_has_taken_all_or_nothing(
    http: aiohttp.ClientSession, registered: StackInfo, tmp_path: Path, round_: int
) -> None:
    """Killed as soon as the first of its records are in the log, while the transaction is open."""
    rows = range(10_000 * round_, 10_000 * round_ + 5000)
    body = "booking,booked,last,first,dob,sex,charge\n" + "".join(
        f"K{n},2023-01-01T08:00:00,Sample,Ann,1990-01-01,F,THEFT\n" for n in rows
    )
    topic = Topic(registered.kafka_bootstrap_servers, "custody.events.v1")
    bookings = {f"K{n}" for n in rows}

    def taken() -> list[Any]:
        return [
            r for r in topic.records() if b'"booked"' in r.value and json.loads(r.value)["booking_number"] in bookings
        ]

    with ingest_on(registered.kafka_bootstrap_servers, tmp_path) as process:
        at = f"2023-04-0{round_ + 1}"
        watch = topic.grows()
        posting = asyncio.create_task(post(http, process.url, body.encode(), at, JAIL_KEY, JAIL, force="true"))
        await asyncio.to_thread(watch)
        process.kill()
        answered: int | None = None
        with contextlib.suppress(aiohttp.ClientError):
            answered = (await posting)[0]

        process.start()
        await asyncio.to_thread(process.wait_ready)  # not on the loop: it has to see its connections end
        status, answer = await post(http, process.url, body.encode(), at, JAIL_KEY, JAIL, force="true")
        assert status == 200
        assert answer["booked"] == (0 if answer["repeated"] else 5000)
        assert answered is None or answer["repeated"]
        assert len(taken()) == 5000
        assert process.terminate() == 0
