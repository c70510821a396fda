"""All days of New York City's rosters through the pure comparison, against plain sets."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import msgspec
import pytest

from contracts.types.custody import CustodyEvent
from contracts.types.registry import Facility, RosterMapping
from services.ingest.domain.roster.compare import Counts, Head, Known, Post, compare
from services.ingest.domain.roster.rows import read_snapshot
from tests.tools.roster_truth import NYC_DIRECTORY, roster_truth

FILES = sorted(NYC_DIRECTORY.glob("*.csv.gz"))
MAPPING = RosterMapping(
    booking_number=["inmateid", "admitted_dt"],
    booked_at="admitted_dt",
    agency_local="inmateid",
    sex="gender",
    charge_code="top_charge",
)
FACILITY = Facility(id="NYTEST099", name="Test", state="NY", time_zone="America/New_York", roster=MAPPING)
pytestmark = pytest.mark.skipif(not FILES, reason=f"the rosters are not on this machine: {NYC_DIRECTORY}")


@cache
def replayed() -> list[tuple[str, Counts]]:
    head: Head | None = None
    known: dict[str, Known] = {}
    ids: set[str] = set()
    decode = msgspec.json.Decoder(CustodyEvent).decode
    days: list[tuple[str, Counts]] = []
    for file in FILES:
        name = file.name.partition(".")[0]
        at = datetime.strptime(name, "%Y%m%d").replace(tzinfo=ZoneInfo("America/New_York"))
        snapshot = read_snapshot(gzip.decompress(file.read_bytes()), FACILITY, MAPPING, at)
        post = Post(FACILITY.id, "test", at, MAPPING.min_rows_ratio, timedelta(days=400))
        delta = compare(snapshot, post, head, known)
        for event_id, event in delta.events:
            assert event_id not in ids
            ids.add(event_id)
            decode(msgspec.json.encode(event))  # within the contract's limits
        head = delta.head or head
        for booking, entry in delta.known.items():
            if entry is None:
                del known[booking]
            else:
                known[booking] = entry
        days.append((name, delta.counts))
    return days


def test_each_day_says_what_the_files_themselves_say() -> None:
    truth = roster_truth(FILES)
    assert len(truth) == 58
    for (name, counts), day in zip(replayed(), truth, strict=True):
        assert (name, counts.rows, counts.stale) == (day.name, day.rows, day.stale)
        told = (counts.booked, counts.inferred_released, counts.voided, counts.updated)
        assert told == (day.booked, day.released, day.back, day.changed)
        assert (counts.rejected, counts.withheld) == (0, 0)


def test_the_sums_come_out_at_who_is_there_at_the_end() -> None:
    total = {
        name: sum(getattr(counts, name) for _, counts in replayed())
        for name in ("booked", "inferred_released", "voided")
    }
    assert total["booked"] - total["inferred_released"] + total["voided"] == roster_truth(FILES)[-1].people
