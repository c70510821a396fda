"""Read a roster file: CSV, columns by the facility's mapping.

Nobody is lost to an odd row. A value that makes no sense is left out, and the person stays; a row that cannot be
read at all is handed on as odd, because it may stand for anyone.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from contracts.types.common import BookingNumber
from contracts.types.custody import Charge
from contracts.types.person import Identifier, IdentifierKind, NamePart, Person, PersonName, Sex
from contracts.types.registry import Facility, RosterMapping
from services.ingest.domain.refusal import Refused
from services.ingest.domain.roster.times import instant_of, parse_time

__all__ = ["OddRow", "Row", "Snapshot", "read_snapshot"]

MAX_TEXT: Final = 200
_AHEAD: Final = timedelta(days=2)
"""A booking may lie so far after the time of its snapshot: files are named by day, and taken during it."""


class Row(Struct, frozen=True, gc=False):
    """One person in custody. digest: of all that is mapped, so that a change of anything else is none."""

    booking: str
    digest: str
    person: Person
    charges: list[Charge]
    booked_at: datetime | None
    raw: bytes


class OddRow(Struct, frozen=True, gc=False):
    """A row, or a value in it, that cannot be read. booking: what stands in the booking columns, if anything does.

    digest: of the bytes, to know the same odd row again. whole: the row is lost; else only a value of it.
    """

    raw: bytes
    digest: str
    refused: Refused
    booking: str | None
    whole: bool


class Snapshot(Struct, frozen=True):
    """A roster file as read.

    rows: booking -> its rows, as a rule one; several where they differ in what is mapped.
    lines: data rows in the file. repeated: rows that were there already, the same. odd: see OddRow.
    digest: of the data rows, whatever their order, odd ones and unmapped columns included.
    """

    rows: dict[str, list[Row]]
    odd: list[OddRow]
    lines: int
    repeated: int
    digest: str


def read_snapshot(raw: bytes, facility: Facility, mapping: RosterMapping, snapshot_at: datetime) -> Snapshot:
    """Read a file.

    Raises:
        Refused: not_utf8, header_missing, column_missing, column_ambiguous: nothing can be told of the whole file.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"byte {error.start} is not UTF-8") from None
    records = _records(text, mapping.delimiter)
    header = next(records, None)
    if header is None or header[0] is None:
        raise Refused("header_missing", "the first line must name the columns")
    reader = _RowReader(header[0], facility, mapping, snapshot_at)
    rows: dict[str, list[Row]] = {}
    odd: list[OddRow] = []
    lines = repeated = total = 0
    for fields, piece, problem in records:
        lines += 1
        content = "\x1f".join(fields) if fields is not None else piece
        total += int.from_bytes(blake2b(content.encode(), digest_size=16).digest())
        row, oddities = reader.read(fields, piece, problem)
        odd += oddities
        if row is None:
            continue
        same = rows.setdefault(row.booking, [])
        if any(other.digest == row.digest for other in same):
            repeated += 1
        else:
            same.append(row)
    return Snapshot(rows, odd, lines, repeated, f"{lines}-{total % 2**128:032x}")


_Record = tuple[list[str] | None, str, str]
"""Fields (None: not CSV), the text they were read from, and what is wrong with it."""


def _records(text: str, delimiter: str) -> Iterator[_Record]:
    """The records of a CSV file, one after the other.

    A quotation mark that is never closed takes the lines after it into its record. So where a record of several lines
    has not as many fields as the header, only its first line is given up, and the rest is read again.
    """
    waiting = deque(io.StringIO(text, newline=""))
    taken: list[str] = []

    def pull() -> Iterator[str]:
        while waiting:
            taken.append(waiting.popleft())
            yield taken[-1]

    width: int | None = None
    lines = pull()
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        fields: list[str] | None
        try:
            fields, problem = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            fields, problem = None, str(error)
        if fields == []:
            continue  # an empty line is no row
        if len(taken) > 1 and (fields is None or (width is not None and len(fields) != width)):
            waiting.extendleft(reversed(taken[1:]))
            del taken[1:]
            fields, problem = None, problem or "a quotation mark is not closed"
            lines = pull()  # one that came to its end does not begin again
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        if width is None and fields is not None:
            width = len(fields)
        yield fields, "".join(taken), problem


class _RowReader:
    """Rows of one file, by its header and the facility's mapping. `_bad` collects what is left out of a row."""

    def __init__(self, header: list[str], facility: Facility, mapping: RosterMapping, snapshot_at: datetime) -> None:
        self._names = [name.strip() for name in header]
        self._facility = facility
        self._mapping = m = mapping
        self._zone = ZoneInfo(facility.time_zone)
        self._latest = snapshot_at + _AHEAD
        self._bad: list[Refused] = []
        self._booking = [self._at(column) for column in m.booking_number]
        self._columns: dict[str, int] = {
            name: self._at(column)
            for name in (
                "booked_at", "surname", "given", "middle", "birth_date", "sex", "sid", "ucn", "a_number",
                "agency_local", "charge_code", "charge_description",
            )
            if (column := getattr(m, name)) is not None
        }  # fmt: skip

    def _at(self, column: str) -> int:
        match self._names.count(column):
            case 0:
                raise Refused("column_missing", "the file has no such column; the mapping names it", column)
            case 1:
                return self._names.index(column)
        raise Refused("column_ambiguous", "the file has several columns of this name", column)

    def read(self, fields: list[str] | None, piece: str, problem: str) -> tuple[Row | None, list[OddRow]]:
        """The row, or None; and what is odd about it."""
        raw = piece.encode()
        if fields is None:
            return None, [_odd(raw, Refused("row_malformed", problem), None)]
        if len(fields) != len(self._names):
            # A last line that was cut off may have been cut within its booking number.
            whole = piece.endswith(("\n", "\r")) or len(fields) > len(self._names)
            said = f"{len(fields)} columns where the header has {len(self._names)}"
            return None, [_odd(raw, Refused("row_malformed", said), self._booking_of(fields) if whole else None)]
        booking = self._booking_of(fields)
        if booking is None:
            said, column = "the booking number is blank", self._mapping.booking_number[0]
            return None, [_odd(raw, Refused("blank_booking_number", said, column), None)]
        try:
            msgspec.convert(booking, BookingNumber)
        except msgspec.ValidationError:
            said, column = "the booking number is too long", self._mapping.booking_number[0]
            return None, [_odd(raw, Refused("row_malformed", said, column), None)]
        self._bad = []
        person, charges, booked_at = self._person(fields), self._charges(fields), self._booked_at(fields)
        digest = blake2b(msgspec.json.encode((person, charges, booked_at)), digest_size=12).hexdigest()
        oddities = [_odd(raw, bad, booking, whole=False) for bad in self._bad]
        return Row(booking, digest, person, charges, booked_at, raw), oddities

    def _booking_of(self, fields: list[str]) -> str | None:
        parts = [fields[i].strip() if i < len(fields) else "" for i in self._booking]
        return "/".join(parts) if all(parts) else None

    def _text(self, name: str, fields: list[str]) -> str | None:
        at = self._columns.get(name)
        return (fields[at].strip() or None) if at is not None else None

    def _checked(self, name: str, value: Any, make: Callable[[Any], Any]) -> Any:
        if value is None:
            return None
        try:
            return make(value)
        except (ValueError, OverflowError):  # msgspec.ValidationError is a ValueError
            column = getattr(self._mapping, name)
            self._bad.append(Refused("row_value_invalid", "the value is left out, the row is taken", column))
            return None

    def _person(self, fields: list[str]) -> Person:
        names: list[PersonName] = []
        surname, given, middle = (
            self._checked(name, self._text(name, fields), _name_part) for name in ("surname", "given", "middle")
        )
        if surname is not None:
            names.append(PersonName(surname=surname, given=given, middle=middle))
        born = self._checked("birth_date", self._text("birth_date", fields), self._birth_date)
        return Person(
            names=names,
            birth_dates=[born] if born is not None else [],
            sex=self._checked("sex", self._text("sex", fields), self._sex),
            identifiers=list(self._identifiers(fields)),
        )

    def _birth_date(self, text: str) -> str:
        return parse_time(text, self._mapping.birth_date_format).date().isoformat()

    def _sex(self, text: str) -> Sex:
        return Sex(self._mapping.sex_codes.get(text, text.upper()))

    def _identifiers(self, fields: list[str]) -> Iterator[Identifier]:
        m, facility = self._mapping, self._facility
        for name, kind, issuer in (
            ("sid", IdentifierKind.SID, m.sid_state or facility.state),
            ("ucn", IdentifierKind.UCN, None),
            ("a_number", IdentifierKind.A_NUMBER, None),
            ("agency_local", IdentifierKind.AGENCY_LOCAL, facility.operated_by or facility.id),
        ):
            value = self._text(name, fields)
            found = self._checked(name, value, partial(_identifier, kind, issuer))
            if found is not None:
                yield found

    def _charges(self, fields: list[str]) -> list[Charge]:
        code, description = self._text("charge_code", fields), self._text("charge_description", fields)
        if code is None and description is None:
            return []
        # Cut rather than left out: holds are buried in this text (rule 13).
        return [
            Charge(code=code and code[:MAX_TEXT], description=description and description[:MAX_TEXT]),
        ]

    def _booked_at(self, fields: list[str]) -> datetime | None:
        found: datetime | None = self._checked("booked_at", self._text("booked_at", fields), self._time)
        return found

    def _time(self, text: str) -> datetime:
        at = instant_of(parse_time(text, self._mapping.datetime_format), self._zone)
        if at > self._latest:
            raise ValueError("later than the snapshot")
        return at


def _name_part(text: str) -> str:
    part: str = msgspec.convert(text, NamePart)
    return part


def _identifier(kind: IdentifierKind, issuer: str | None, value: str) -> Identifier:
    return msgspec.convert({"kind": kind, "value": value, "issuer": issuer}, Identifier)


def _odd(raw: bytes, refused: Refused, booking: str | None, *, whole: bool = True) -> OddRow:
    return OddRow(raw, blake2b(raw, digest_size=12).hexdigest(), refused, booking, whole)
