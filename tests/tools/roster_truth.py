"""What a series of roster files says by itself: counts by plain sets, sharing no code with ingest.

python -m tests.tools.roster_truth [DIRECTORY]
"""

from __future__ import annotations

import csv
import gzip
import sys
from dataclasses import astuple, dataclass, fields
from pathlib import Path

NYC_DIRECTORY = Path("/work/shared/data/nyc-doc-roster")


@dataclass(frozen=True)
class Day:
    """One file against all before it.

    rows: data rows. people: distinct bookings. booked: never seen before. released: in the file before, and not in
    this one. back: not in the file before, but in an earlier one. changed: another sex or charge than when seen last.
    stale: the same rows as the file before, in whatever order.
    """

    name: str
    rows: int
    people: int
    booked: int
    released: int
    back: int
    changed: int
    stale: bool


def roster_truth(files: list[Path]) -> list[Day]:
    """Day by day, for the columns of New York City's rosters."""
    last_said: dict[tuple[str, str], tuple[str, str]] = {}
    present: set[tuple[str, str]] = set()
    rows_before: list[tuple[str, ...]] = []
    days: list[Day] = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
            read = list(csv.DictReader(lines))
        said = {(row["inmateid"], row["admitted_dt"]): (row["gender"], row["top_charge"]) for row in read}
        rows = sorted(tuple(row.values()) for row in read)
        came = said.keys() - present
        days.append(
            Day(
                name=file.name.partition(".")[0],
                rows=len(read),
                people=len(said),
                booked=len(said.keys() - last_said.keys()),
                released=len(present - said.keys()),
                back=len(came & last_said.keys()),
                changed=sum(1 for booking in said.keys() & last_said.keys() if said[booking] != last_said[booking]),
                stale=rows == rows_before,
            )
        )
        last_said |= said
        present, rows_before = set(said), rows
    return days


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else NYC_DIRECTORY
    days = roster_truth(sorted(directory.glob("*.csv.gz")))
    print("\t".join(field.name for field in fields(Day)))
    for day in days:
        print("\t".join(map(str, astuple(day))))
    last = days[-1]
    booked, released, back = (sum(getattr(day, name) for day in days) for name in ("booked", "released", "back"))
    print(f"booked {booked} - released {released} + back {back} = {booked - released + back}")
    print(f"in the last file: {last.people}")


if __name__ == "__main__":
    main()
