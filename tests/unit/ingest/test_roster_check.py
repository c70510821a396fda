"""`sallyport feed check`: a facility's file and mapping tried before anything is sent."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.ingest.roster_check import check
from services.platform.errors import ContractViolation

REGISTRY = """
records:
  - kind: facility
    id: CTTEST099
    name: Test Jail
    state: CT
    time_zone: America/New_York
    roster: {booking_number: [BOOKING], booked_at: ADMITTED, surname: LAST, birth_date: DOB, sid: SID}
  - {kind: facility, id: CTTEST098, name: No Roster, state: CT, time_zone: America/New_York}
"""
HEADER = "BOOKING,ADMITTED,LAST,DOB,SID\n"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "registry.yaml").write_text(REGISTRY)
    return tmp_path / "registry.yaml"


def roster(registry: Path, text: str) -> Path:
    file = registry.with_name("20261124.csv")
    file.write_text(text)
    return file


def test_what_is_found_is_counted_and_nobody_is_named(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = roster(registry, f"{HEADER}1,2026-11-20T14:05,Quillfeather,1990-03-04,CT1\n2,2026-11-21T01:30,Ottermole,,\n")
    assert check(file, registry=registry, facility="CTTEST099") == 0
    said = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert {"bookings 2 2", "with a name 2 2", "with a birth date 1 2", "with sid 1 2", "with a charge 0 2"} <= set(
        said
    )
    assert "earliest booking 2026-11-20 14:05 EST, 2026-11-20 19:05Z" in said
    assert "latest booking 2026-11-21 01:30 EST, 2026-11-21 06:30Z" in said
    assert not any("Quillfeather" in line or "Ottermole" in line for line in said)


def test_what_cannot_be_read_is_told_by_code_and_column(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = roster(registry, f"{HEADER}1,2026-11-20T14:05,Quillfeather,31.31.1990,CT1\n2,only two\n,,Nobody,,\n")
    assert check(file, registry=registry, facility="CTTEST099") == 1
    said = capsys.readouterr().out
    assert "row_value_invalid DOB: 1 value not read" in said
    assert "row_malformed : 1 row not read" in said
    assert "blank_booking_number BOOKING: 1 row not read" in said


@pytest.mark.parametrize(
    ("facility", "text", "code"),
    [
        ("CTTEST097", HEADER, "facility_unknown"),
        ("CTTEST098", HEADER, "roster_not_configured"),
        ("CTTEST099", "BOOKING,NAME\n", "column_missing"),
        ("CTTEST099", "", "header_missing"),
    ],
)
def test_what_tells_nothing_of_the_file_is_an_error(registry: Path, facility: str, text: str, code: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        check(roster(registry, text), registry=registry, facility=facility)
    assert caught.value.reason == code


@pytest.mark.parametrize("keep", [slice(0, 30), slice(0, None)], ids=["cut off", "garbled"])
def test_broken_compression_is_told_as_such(registry: Path, keep: slice) -> None:
    raw = bytearray(gzip.compress(HEADER.encode() + b"1,2026-11-20T14:05,Quillfeather,1990-03-04,CT1\n" * 50))
    raw[14] ^= 0xFF
    file = registry.with_name("20261124.csv.gz")
    file.write_bytes(raw[keep])
    with pytest.raises(ContractViolation) as caught:
        check(file, registry=registry, facility="CTTEST099")
    assert caught.value.reason == "gzip_invalid"


def test_a_registry_that_is_no_text_is_told_as_such(registry: Path) -> None:
    file = roster(registry, HEADER)
    registry.write_bytes(b"\xff\xfe")
    with pytest.raises(ContractViolation) as caught:
        check(file, registry=registry, facility="CTTEST099")
    assert caught.value.reason == "registry_file_invalid"
