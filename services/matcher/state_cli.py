"""`sallyport state rebuild`: the matcher's state, from what is on the other topics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from aiokafka import ConsumerRecord
from cyclopts import App, Parameter
from rich.table import Table

from services.matcher.adapters.rebuild import Rebuilt, rebuild
from services.matcher.settings import MatcherSettings
from services.platform.operator.reading import file_bytes, make_console

__all__ = ["app"]

app = App(name="state", help="The matcher's state: build it anew when it was lost.")


@app.command(name="rebuild")
def rebuild_(
    *,
    ledger: Annotated[
        Path | None,
        Parameter(
            help="Bodies of notices and reviews from the notifier's database, one a line (docs/operate/backup.md)."
        ),
    ] = None,
) -> int:
    """Write custody.state.v1 anew, which must be empty, from custody.events.v1, conflicts.v1 and reviews.v1.

    Every matcher must be stopped, and started afterwards: it judges everything again, and goes on with the versions
    where they were. Nothing is published by this command itself.
    """
    lines: list[bytes] = []
    if ledger is not None:
        lines = [line for line in file_bytes(ledger).splitlines() if line.strip()]
    console, table = make_console(), Table("partition", "events", "refused", "episodes", "pairs")

    def done(built: Rebuilt) -> None:
        table.add_row(*map(str, (built.partition, built.events, built.refused, built.episodes, built.pairs)))

    def left_out(record: ConsumerRecord) -> None:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        console.print(f"[yellow]record_unreadable[/yellow]: {where} is left out", highlight=False)

    built = asyncio.run(rebuild(MatcherSettings(), lines, done=done, left_out=left_out))
    console.print(table)
    console.print(f"{sum(b.episodes for b in built)} episodes: start the matchers", highlight=False)
    return 0
