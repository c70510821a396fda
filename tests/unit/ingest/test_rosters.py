"""Snapshots compared: what is said, and what is not said because nobody can know it. Every person is made up."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from contracts.types.custody import Booked, CustodyEvent, Released, Updated, Voided
from contracts.types.registry import Facility, RosterMapping
from services.ingest.domain.refusal import Refused
from services.ingest.domain.roster.compare import Delta, Head, Known, Post, compare
from services.ingest.domain.roster.rows import read_snapshot
from services.ingest.domain.roster.times import instant_of

MAPPING = RosterMapping(
    booking_number=["booking"], booked_at="booked", surname="last", given="first", birth_date="dob",
    birth_date_format="%m/%d/%Y", sex="sex", sex_codes={"MALE": "M"}, sid="sid", ucn="fbi", agency_local="person",
    charge_description="charge",
)  # fmt: skip
FACILITY = Facility(
    id="CTTEST099", name="Test", state="CT", time_zone="America/New_York", operated_by="CTDOC0099", roster=MAPPING
)
HEADER = "booking,booked,last,first,dob,sex,sid,fbi,person,charge,cell"


def row(booking: str, charge: str = "THEFT", cell: str = "A1", **values: str) -> str:
    fields = {
        "booked": "2023-01-01T08:00:00", "last": "Sample", "first": "Ann", "dob": "01/02/1990", "sex": "F",
        "sid": "CT1", "fbi": "", "person": "P1",
    } | values  # fmt: skip
    return ",".join([booking, *fields.values(), charge, cell])


def csv(*rows: str) -> bytes:
    return ("\n".join([HEADER, *rows]) + "\n").encode()


class Jail:
    """A facility whose snapshots are taken one after the other, as ingest does."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.known: dict[str, Known] = {}

    def post(self, day: float, raw: bytes, *, force: bool = False, ratio: float = 0.0) -> Delta:
        at = datetime(2023, 2, 1, tzinfo=UTC) + timedelta(days=day)
        post = Post(FACILITY.id, "test-jail", at, ratio, timedelta(days=400), force)
        delta = compare(read_snapshot(raw, FACILITY, MAPPING, at), post, self.head, self.known)
        for _, event in delta.events:
            msgspec.json.decode(msgspec.json.encode(event), type=CustodyEvent)
        self.head = delta.head or self.head
        for booking, entry in delta.known.items():
            if entry is None:
                del self.known[booking]
            else:
                self.known[booking] = entry
        return delta


def said(delta: Delta) -> list[tuple[str, str]]:
    return sorted((type(event).__name__, event.booking_number) for _, event in delta.events)


def refused(*arguments: Any, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        Jail.post(*arguments, **options)
    return caught.value


def test_the_first_snapshot_books_everybody() -> None:
    (_, event), = Jail().post(0, csv(row("1", sex="MALE", fbi="123")), ).events  # fmt: skip

    assert isinstance(event, Booked)
    assert event.occurred_at == datetime(2023, 1, 1, 13, tzinfo=UTC)  # eight o'clock in Connecticut
    assert msgspec.to_builtins(event.person) == {
        "names": [{"surname": "Sample", "given": "Ann"}],
        "birth_dates": ["1990-01-02"],
        "sex": "M",
        "identifiers": [
            {"kind": "sid", "value": "CT1", "issuer": "CT"},
            {"kind": "ucn", "value": "123"},
            {"kind": "agency_local", "value": "P1", "issuer": "CTDOC0099"},
        ],
    }
    assert msgspec.to_builtins(event.charges) == [{"description": "THEFT"}]


def test_without_a_time_of_booking_that_of_the_snapshot_is_taken() -> None:
    (_, event), = Jail().post(0, csv(row("1", booked=""))).events  # fmt: skip
    assert event.occurred_at == datetime(2023, 2, 1, tzinfo=UTC)


def test_a_day_of_changes_and_a_day_that_is_missing() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2"), row("3")))
    delta = jail.post(2, csv(row("4"), row("2", charge="HOLD FOR ICE"), row("1", cell="B2")))

    assert said(delta) == [("Booked", "4"), ("Released", "3"), ("Updated", "2")]
    assert (delta.counts.unchanged, delta.counts.rows) == (1, 3)  # another cell is no change
    by_kind = {type(event): event for _, event in delta.events}
    release, update = by_kind[Released], by_kind[Updated]
    assert isinstance(release, Released) and isinstance(update, Updated)
    assert (release.inferred, release.reason) == (True, "unknown")
    assert release.occurred_at == update.occurred_at == datetime(2023, 2, 3, tzinfo=UTC)
    assert msgspec.to_builtins(update.charges) == [{"description": "HOLD FOR ICE"}]


def test_the_same_content_in_another_order_is_stale() -> None:
    jail = Jail()
    rows = [row(str(n)) for n in range(50)]
    jail.post(0, csv(*rows))
    random.Random(1).shuffle(rows)

    delta = jail.post(1, csv(*rows))

    assert delta.counts.stale and not delta.events and not delta.known
    assert delta.head is not None and delta.head.snapshot_at == datetime(2023, 2, 2, tzinfo=UTC)
    assert refused(jail, 0.5, csv(row("1"))).code == "snapshot_out_of_order"


def test_the_same_snapshot_again_writes_nothing_and_a_corrected_one_is_newer() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2")))
    again = jail.post(0, csv(row("1"), row("2")))
    assert again.counts.repeated and again.head is None and not again.events

    corrected = jail.post(0, csv(row("1")))
    assert said(corrected) == [("Released", "2")]
    assert corrected.events[0][1].sequence == 1
    assert said(jail.post(0, csv(row("1"), row("2")))) == [("Voided", "2")]


def test_the_same_state_and_snapshot_lead_to_the_same_ids() -> None:
    one, other = Jail(), Jail()
    for day, raw in enumerate((csv(row("1"), row("2")), csv(row("2", charge="OTHER")), csv(row("1")))):
        assert one.post(day, raw).events == other.post(day, raw).events


def test_whoever_shows_up_again_was_never_gone() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2")))
    ((released_id, _),) = jail.post(1, csv(row("1"))).events

    delta = jail.post(2, csv(row("1"), row("2", charge="OTHER")))

    assert said(delta) == [("Updated", "2"), ("Voided", "2")]
    void = next(event for _, event in delta.events if isinstance(event, Voided))
    assert (void.voids_event, void.voids_source) == (released_id, "test-jail")
    # And gone again: another release, with an id of its own.
    ((again, _),) = jail.post(3, csv(row("1"))).events
    assert again != released_id


def test_a_half_sent_file_is_stopped_unless_forced() -> None:
    jail = Jail()
    jail.post(0, csv(*(row(str(n)) for n in range(10))))
    half = csv(*(row(str(n)) for n in range(6)))

    assert refused(jail, 1, half, ratio=0.7).code == "snapshot_too_small"
    assert len(jail.post(1, half, ratio=0.7, force=True).events) == 4


def test_a_file_cut_off_within_its_last_row_releases_nobody() -> None:
    jail = Jail()
    whole = csv(*(row(str(n)) for n in range(100, 110)))
    jail.post(0, whole)
    cut = whole[: whole.index(b"109") + 2]  # "10": might be taken for a booking number

    delta = jail.post(1, cut)
    assert (delta.counts.withheld, delta.counts.inferred_released, delta.counts.rejected) == (1, 0, 1)
    assert not jail.post(2, whole).events
    assert all(known.missing_since is None for known in jail.known.values())


def test_releases_withheld_for_an_unreadable_row_come_with_the_next_snapshot() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2"), row("3")))
    odd = ",2023-01-01T08:00:00,Sample,Ann,01/02/1990,F,CT1,,P1,THEFT,A1"

    first = jail.post(1, csv(row("1"), odd))
    assert (first.counts.withheld, said(first)) == (2, [])
    assert [r.code for _, r in first.rejects] == ["blank_booking_number"]
    stale = jail.post(2, csv(odd, row("1")))
    assert stale.counts.stale and not stale.events  # nothing new is known

    second = jail.post(3, csv(row("1", cell="C1"), odd))
    assert said(second) == [("Released", "2"), ("Released", "3")]
    assert second.events[0][1].occurred_at == datetime(2023, 2, 2, tzinfo=UTC)  # when he was first missing


def test_a_row_that_was_odd_before_hides_nobody() -> None:
    jail = Jail()
    odd = ",,,,,,,,,,"
    jail.post(0, csv(row("1"), row("2"), odd))
    assert said(jail.post(1, csv(row("1"), odd))) == [("Released", "2")]


def test_an_odd_row_keeps_its_person_if_its_booking_can_be_read() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2"), row("3")))

    delta = jail.post(1, csv(row("1"), row("2") + ",one,too,many"))

    assert said(delta) == [("Released", "3")]
    assert [(raw, r.code) for raw, r in delta.rejects] == [((row("2") + ",one,too,many\n").encode(), "row_malformed")]


def test_a_quotation_mark_that_is_never_closed_takes_one_row_with_it() -> None:
    jail = Jail()
    jail.post(0, csv(*(row(str(n)) for n in range(20))))

    delta = jail.post(1, csv(row("0"), row("1", last='"Sample'), *(row(str(n)) for n in range(2, 20))))

    assert not delta.events
    assert [r.code for _, r in delta.rejects] == ["row_malformed"]


def test_a_quoted_newline_and_delimiter_belong_to_the_value() -> None:
    (_, event), = Jail().post(0, csv(row("1", charge='"THEFT,\nHOLD FOR ICE"'))).events  # fmt: skip
    assert isinstance(event, Booked)
    assert event.charges[0].description == "THEFT,\nHOLD FOR ICE"


def test_one_booking_twice() -> None:
    jail = Jail()
    delta = jail.post(0, csv(row("1"), row("1"), row("2", charge="A"), row("2", charge="B")))
    assert said(delta) == [("Booked", "1"), ("Booked", "2")]
    assert [r.code for _, r in delta.rejects] == ["duplicate_booking"]

    # The other way round nothing has changed: the one that agrees with what was said stays.
    assert not jail.post(1, csv(row("2", charge="B"), row("1", cell="X"), row("2", charge="A"))).events


def test_a_value_that_makes_no_sense_is_left_out_and_nobody_is_lost() -> None:
    delta = Jail().post(
        0, csv(row("1", dob="13/13/1990", sex="?", booked="soon", last="x" * 101, sid="y" * 41, charge="z" * 300))
    )
    ((_, event),) = delta.events
    assert isinstance(event, Booked)
    assert msgspec.to_builtins(event.person) == {
        "identifiers": [{"kind": "agency_local", "value": "P1", "issuer": "CTDOC0099"}]
    }
    assert event.charges[0].description == "z" * 200  # holds are buried there: cut, not left out (rule 13)
    assert sorted(r.field or "" for _, r in delta.rejects) == ["booked", "dob", "last", "sex", "sid"]
    assert {r.code for _, r in delta.rejects} == {"row_value_invalid"}


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (b"", "header_missing", None),
        (csv(row("1")).replace(b"booking,", b"bookng,"), "column_missing", "booking"),
        (csv(row("1")).replace(b"cell", b"sex"), "column_ambiguous", "sex"),
        (csv(row("1", last="M\xfcller")).decode().encode("latin-1"), "not_utf8", None),
    ],
)
def test_files_of_which_nothing_can_be_told(raw: bytes, code: str, field: str | None) -> None:
    error = refused(Jail(), 0, raw)
    assert (error.code, error.field) == (code, field)


def test_a_byte_order_mark_crlf_and_empty_lines_are_no_matter() -> None:
    raw = b"\xef\xbb\xbf" + csv(row("1"), "", row("2")).replace(b"\n", b"\r\n")
    assert said(Jail().post(0, raw)) == [("Booked", "1"), ("Booked", "2")]


def test_whoever_left_long_ago_is_forgotten() -> None:
    jail = Jail()
    jail.post(0, csv(row("1"), row("2")))
    jail.post(1, csv(row("1")))
    jail.post(402, csv(row("1", cell="Z")))
    assert set(jail.known) == {"1"}


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "not_before", "utc"),
    [
        ("2023-02-01T12:00:00", None, "2023-02-01T17:00:00Z"),
        ("2023-02-01T12:00:00+01:00", None, "2023-02-01T11:00:00Z"),
        ("2023-03-12T02:30:00", None, "2023-03-12T07:30:00Z"),  # not on any clock: as before the change
        ("2023-11-05T01:30:00", None, "2023-11-05T05:30:00Z"),  # twice on the clock: the first
        ("2023-11-05T01:15:00", "2023-11-05T05:30:00Z", "2023-11-05T06:15:00Z"),  # after 01:30: the second
        ("2023-11-05T00:15:00", "2023-11-05T05:30:00Z", "2023-11-05T04:15:00Z"),  # earlier all the same
    ],
)
def test_wall_clocks(text: str, not_before: str | None, utc: str) -> None:
    earliest = datetime.fromisoformat(not_before) if not_before else None
    assert instant_of(datetime.fromisoformat(text), NEW_YORK, earliest) == datetime.fromisoformat(utc)
