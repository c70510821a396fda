"""`sallyport feed check`: how a facility's roster file would be read, without sending it to anybody."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from cyclopts import Parameter
from rich.table import Table

from contracts.types.person import IdentifierKind
from contracts.types.registry import Facility
from services.ingest.domain.refusal import Refused
from services.ingest.domain.roster.rows import Row, Snapshot, read_snapshot
from services.platform.errors import ContractViolation
from services.platform.operator.reading import file_bytes, make_console
from services.platform.operator.registry import load_registry

__all__ = ["check", "facts"]

_GZIP = b"\x1f\x8b"


def check(
    file: Path,
    /,
    *,
    registry: Annotated[Path, Parameter(help="The registry file that has the facility, with its roster mapping.")],
    facility: Annotated[str, Parameter(help="ORI or code of the facility.")],
) -> int:
    """Read a roster FILE by the mapping in a registry file, and say what is found. Nothing is sent, no name is shown.

    Exit status 1 if anything in it cannot be read."""
    known = {r.id: r for r in load_registry(registry) if isinstance(r, Facility)}
    if facility not in known:
        raise ContractViolation("facility_unknown", f"{registry} has no facility {facility}", "--facility")
    found = known[facility]
    if found.roster is None:
        raise ContractViolation("roster_not_configured", f"{facility} has no `roster` in {registry}", "roster")
    raw = file_bytes(file)
    try:
        raw = gzip.decompress(raw) if raw.startswith(_GZIP) else raw
        snapshot = read_snapshot(raw, found, found.roster, datetime.now(ZoneInfo(found.time_zone)))
    except (OSError, EOFError, zlib.error):
        raise ContractViolation("gzip_invalid", f"{file}: broken compression") from None
    except Refused as refused:
        raise ContractViolation(refused.code, refused.detail, refused.field) from None
    console, table = make_console(), Table("found", "count", "of")
    total = len(snapshot.rows)
    for name, count in facts(snapshot):
        table.add_row(name, str(count), str(total))
    console.print(table)
    times = sorted(row.booked_at for row in _rows(snapshot) if row.booked_at is not None)
    for word, at in zip(("earliest", "latest"), (times[:1] + times[-1:]), strict=False):
        local = at.astimezone(ZoneInfo(found.time_zone)).strftime("%Y-%m-%d %H:%M %Z")
        console.print(f"{word} booking {local}, {at:%Y-%m-%d %H:%MZ}", highlight=False)
    odd = Counter((o.refused.code, o.refused.field or "", "row" if o.whole else "value") for o in snapshot.odd)
    for (code, column, what), count in sorted(odd.items()):
        console.print(f"{code} {column}: {count} {what}{'s' if count > 1 else ''} not read", highlight=False)
    return 1 if odd else 0


def facts(snapshot: Snapshot) -> Iterator[tuple[str, int]]:
    """What there is to find of the people of a roster, and of how many it is there."""
    rows = [same[0] for same in snapshot.rows.values()]
    yield "bookings", len(rows)
    yield "the same booking again, alike", snapshot.repeated
    yield "the same booking again, different", sum(len(same) > 1 for same in snapshot.rows.values())
    yield "with a name", sum(bool(row.person.names) for row in rows)
    yield "with a birth date", sum(bool(row.person.birth_dates) for row in rows)
    yield "with a sex", sum(row.person.sex is not None for row in rows)
    yield "with a time of booking", sum(row.booked_at is not None for row in rows)
    yield "with a charge", sum(bool(row.charges) for row in rows)
    kinds = Counter(identifier.kind for row in rows for identifier in row.person.identifiers)
    for kind in (IdentifierKind.SID, IdentifierKind.UCN, IdentifierKind.A_NUMBER, IdentifierKind.AGENCY_LOCAL):
        yield f"with {kind}", kinds[kind]


def _rows(snapshot: Snapshot) -> Iterator[Row]:
    return chain.from_iterable(snapshot.rows.values())
