"""`sallyport feeds list`: which facilities are silent for longer than is usual, and which were and are heard again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from cyclopts import App
from rich.table import Table

from contracts.types.feed import FeedState, FeedStatus
from services.platform.operator.reading import at, known, make_console, read_to_end, span
from services.platform.settings import PlatformSettings

__all__ = ["FEEDS_TOPIC", "app", "newest"]

FEEDS_TOPIC = "feeds.v1"

app = App(name="feeds", help="Which facilities are heard of, and which are silent.")


def newest(records: Iterable[tuple[bytes, FeedStatus | None]]) -> list[FeedStatus]:
    """The status of each facility as it stands: the silent first, then by code."""
    found: dict[bytes, FeedStatus] = {}
    for key, status in records:
        if status is None:
            found.pop(key, None)
        else:
            found[key] = status
    return sorted(found.values(), key=lambda status: (status.state is FeedState.HEARD, status.facility))


@app.command(name="list")
def list_() -> int:
    """Every facility that was ever silent for too long: those that are first. Exit status 0, silent or not.

    Of one that never was there is nothing here; sallyport_feed_last_heard_timestamp_seconds of the matchers has all."""
    console = make_console()
    now = datetime.now(UTC)
    statuses = newest(known(asyncio.run(read_to_end(PlatformSettings(), FEEDS_TOPIC)), FeedStatus, console))
    if not statuses:
        console.print("no facility has been silent for too long yet")
        return 0
    table = Table("facility", "state", "last heard", "ago", "usual gap", "since")
    for status in statuses:
        ago = max(0.0, (now - status.last_heard_at).total_seconds())
        state = f"[red]{status.state}[/red]" if status.state is FeedState.SILENT else str(status.state)
        table.add_row(
            status.facility, state, at(status.last_heard_at), span(ago), span(status.usual_gap_s), at(status.at)
        )
    console.print(table)
    return 0
