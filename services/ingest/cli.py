"""`sallyport feed …` and `sallyport detainers …`: send files to an ingest."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.ingest.adapters.sender import Answer, Sender
from services.ingest.roster_check import check
from services.platform.errors import ContractViolation, SallyportError

__all__ = ["detainers", "feed"]

feed = App(name="feed", help="Send a roster file, or a stream of events, to ingest.")
detainers = App(name="detainers", help="Send detainers to ingest.")
feed.command(check)
console = Console()

Url = Annotated[str, Parameter(env_var="SALLYPORT_INGEST_URL", help="Base URL of ingest.")]
Key = Annotated[str, Parameter(env_var="SALLYPORT_API_KEY", help="API key of the source; better in the environment.")]
BatchSize = Annotated[int, Parameter(help="Events, or commands, in one request.")]
Patience = Annotated[float, Parameter(help="Seconds for which one request is tried while ingest is away.")]
_DATE = re.compile(r"(?<!\d)(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
_SHOWN = 20


class FeedFailed(SallyportError):
    """A file was refused, and those after it build upon it."""

    code = "feed_failed"
    alert = False


@feed.command
def roster(
    paths: Annotated[list[Path], Parameter(help="Files, or directories whose .csv and .csv.gz files are meant.")],
    /,
    *,
    facility: Annotated[str, Parameter(help="ORI or code of the facility.")],
    url: Url,
    key: Key,
    snapshot_at: Annotated[
        str | None, Parameter(help="ISO 8601; for one file. Otherwise YYYYMMDD in the name, midnight there.")
    ] = None,
    force: Annotated[bool, Parameter(help="Take it although it is small, and withhold no release.")] = False,
    patience_s: Patience = 300.0,
) -> int:
    """Send roster files, in the order of their names; stops at the first that is refused."""
    files = sorted(_files(paths), key=lambda file: file.name)
    if snapshot_at is not None and len(files) != 1:
        raise ContractViolation("snapshot_at_ambiguous", "--snapshot-at is for one file")
    times = [snapshot_at or _date_in(file) for file in files]
    return asyncio.run(_rosters(files, times, facility, force, Sender(url, key, patience_s=patience_s)))


@feed.command
def events(file: Path, /, *, url: Url, key: Key, batch: BatchSize = 500, patience_s: Patience = 300.0) -> int:
    """Send FILE, CloudEvents as NDJSON (one a line), in batches. Exit status 1 if any was refused."""
    sender = Sender(url, key, patience_s=patience_s)
    with file.open("rb") as lines:
        items = (line.strip() for line in lines if line.strip())
        return asyncio.run(
            _items(
                items,
                _count_lines(file),
                batch,
                sender,
                "/v1/events",
                ("application/cloudevents-batch+json", "application/cloudevents+json"),
            )
        )


@detainers.command(name="import")
def import_(file: Path, /, *, url: Url, key: Key, batch: BatchSize = 200, patience_s: Patience = 300.0) -> int:
    """Send FILE, commands as NDJSON or as a JSON array, in their order. Exit status 1 if any was refused."""
    raw = file.read_bytes()
    if raw.lstrip()[:1] == b"[":
        try:
            items = [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ContractViolation("malformed_json", f"{file.name}: {error}") from None
    else:
        items = [line.strip() for line in raw.splitlines() if line.strip()]
    sender = Sender(url, key, patience_s=patience_s)
    return asyncio.run(
        _items(iter(items), len(items), batch, sender, "/v1/detainers", ("application/json", "application/json"))
    )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (f for f in path.iterdir() if f.name.endswith((".csv", ".csv.gz")))
        else:
            yield path


def _date_in(file: Path) -> str:
    found = _DATE.findall(file.name)
    if len(found) != 1:
        raise ContractViolation("snapshot_at_missing", f"{file.name}: no date YYYYMMDD in the name; say --snapshot-at")
    return "-".join(found[0]) + "T00:00:00"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


async def _rosters(files: Sequence[Path], times: Sequence[str], facility: str, force: bool, sender: Sender) -> int:
    names = ("rows", "booked", "updated", "inferred_released", "voided", "unchanged", "rejected", "withheld")
    table = Table("file", *names, "")
    query = {"force": "true"} if force else {}
    try:
        async with sender:
            with _progress() as progress:
                task = progress.add_task(facility, total=len(files))
                for file, at in zip(files, times, strict=True):
                    answer = await sender.post(
                        f"/v1/rosters/{facility}", file.read_bytes(), "text/csv", {"snapshot_at": at, **query}
                    )
                    body = answer.body
                    if answer.status != 200:
                        raise FeedFailed(f"{file.name}: {_said(answer)}")
                    note = "repeated" if body.get("repeated") else "stale" if body.get("stale") else ""
                    table.add_row(file.name, *(str(body.get(name, "")) for name in names), note)
                    progress.advance(task)
    finally:
        console.print(table)
    return 0


async def _items(
    items: Iterator[bytes], total: int, batch: int, sender: Sender, path: str, types: tuple[str, str]
) -> int:
    """Post JSON objects in arrays of `batch`; what is not an object goes alone, so that it spoils no batch."""
    outcomes: Counter[tuple[str, str]] = Counter()
    refused: list[tuple[int, dict[str, Any]]] = []
    many, one = types
    at = 0

    def note(index: int, result: dict[str, Any]) -> None:
        outcomes[str(result.get("status", "rejected")), str(result.get("code", ""))] += 1
        if result.get("status") not in ("accepted", "unchanged"):
            refused.append((index, result))

    async with sender:
        with _progress() as progress:
            task = progress.add_task(path, total=total)
            while chunk := list(islice(items, batch)):
                good = [(at + i, item) for i, item in enumerate(chunk) if _is_object(item)]
                bad = [(at + i, item) for i, item in enumerate(chunk) if not _is_object(item)]
                if good:
                    answer = await sender.post(path, b"[" + b",".join(item for _, item in good) + b"]", many)
                    results = answer.body.get("results")
                    if not isinstance(results, list) or len(results) != len(good):
                        raise FeedFailed(_said(answer))
                    for (index, _), result in zip(good, results, strict=True):
                        note(index, result)
                for index, item in bad:
                    answer = await sender.post(path, item, one)
                    note(index, answer.body if answer.status < 400 else {**answer.body, "status": "rejected"})
                at += len(chunk)
                progress.update(task, completed=at)
    _report(outcomes, refused)
    return 1 if refused else 0


def _report(outcomes: Counter[tuple[str, str]], refused: Sequence[tuple[int, dict[str, Any]]]) -> None:
    table = Table("outcome", "code", "count")
    for (status, code), count in sorted(outcomes.items()):
        table.add_row(status, code, str(count))
    console.print(table)
    for index, result in refused[:_SHOWN]:
        where = f" at {result['field']}" if "field" in result else ""
        console.print(f"item {index + 1}: {result.get('code')}{where}: {result.get('detail', '')}", highlight=False)
    if len(refused) > _SHOWN:
        console.print(f"… and {len(refused) - _SHOWN} more")


def _is_object(item: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(item), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _said(answer: Answer) -> str:
    body = answer.body
    return f"{answer.status} {body.get('code', '')}: {body.get('detail', '')}".strip(": ")


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
