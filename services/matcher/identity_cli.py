"""`sallyport identity explain|search|train`: what the engine says, and parameters from an operator's own records."""

from __future__ import annotations

import asyncio
import os
import sys
from math import log2
from pathlib import Path
from random import Random
from typing import Annotated, ClassVar

import aiohttp
import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from contracts.types.person import Person
from services.matcher.api.search import Found, read_person
from services.matcher.domain.identity.model import encode
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.train import estimate, frequencies
from services.matcher.domain.identity.verdict import judge
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model
from services.platform.errors import ContractViolation, SallyportError

__all__ = ["app"]

app = App(name="identity", help="Who is this, how sure, and why.")
# What goes into a file or a pipe is not broken at 80 columns.
console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", 140)))


class MatcherAway(SallyportError):
    """Nobody answers at the URL, or somebody who is no matcher."""

    code = "matcher_unreachable"
    retryable: ClassVar[bool] = True


class SearchRefused(SallyportError):
    """The matcher answered, and not with what was found. The text has its status and its own code."""

    code = "search_refused"
    alert = False


class _Problem(msgspec.Struct):
    code: str
    detail: str = ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContractViolation("file_unreadable", f"{path}: {error.strerror}") from None


def _person(raw: bytes, where: str) -> Person:
    try:
        return read_person(raw)
    except ContractViolation as error:
        at = f" at {error.field}" if error.field else ""
        raise ContractViolation(error.reason, f"{where}{at}: {error.detail}") from None


def _people(path: Path) -> list[Prepared]:
    lines = _read(path).splitlines()
    return [prepare(_person(line, f"{path}:{n}")) for n, line in enumerate(lines, 1) if line.strip()]


@app.command
def explain(a: Path, b: Path, *, model: Path | None = None) -> None:
    """Print the waterfall of two people, each a JSON file as in contracts/types/person.py."""
    weighing = load_model(model)
    one, other = (prepare(_person(_read(path), str(path))) for path in (a, b))
    verdict = judge(one, other, weighing, hopeless=False)
    assert verdict is not None
    identity, bits = verdict
    table = Table("field", "outcome", "bits")
    table.add_row("before anything is compared", "", f"{weighing.prior_bits:+.2f}")
    for line in identity.evidence:
        table.add_row(line.field, line.outcome, f"{line.bits:+.2f}")
    summed = weighing.prior_bits + bits
    calibrated = weighing.slope * summed + weighing.offset_bits
    table.add_row("calibration", "", f"{calibrated - summed:+.2f}")
    table.add_row("log2 of the odds", "", f"{calibrated:+.2f}")
    console.print(table)
    console.print(f"{identity.tier.value}, probability {identity.probability:.6f}, model {identity.model}")
    for veto in identity.vetoes:
        console.print(f"veto: {veto}", highlight=False)


@app.command
def search(
    person: Path,
    *,
    url: Annotated[str, Parameter(env_var="SALLYPORT_MATCHER_URL", help="Base URL of a matcher.")],
    token: Annotated[
        str,
        Parameter(
            env_var="SALLYPORT_IDENTITY_SEARCH_TOKEN", help="The matcher's search token; better in the environment."
        ),
    ] = "",
) -> None:
    """Ask a running matcher who the person of a JSON file may be, among its detainers and the episodes that it owns."""
    raw = _read(person)
    _person(raw, str(person))  # what is wrong with it is said here, before anything is sent
    found = asyncio.run(_ask(url.rstrip("/"), token, raw))
    table = Table()
    for name in ("side", "record", "tier", "probability"):
        table.add_column(name, no_wrap=True)
    for name in ("bits", "found by", "vetoes"):
        table.add_column(name, overflow="fold")
    for hit in found.candidates:
        bits = "\n".join(f"{e.field} {e.outcome} {e.bits or 0.0:+.1f}" for e in hit.evidence)
        table.add_row(
            hit.side,
            hit.record_id,
            hit.tier.value,
            f"{hit.probability:.6f}",
            bits,
            "\n".join(hit.passes),
            "\n".join(hit.vetoes),
        )
    console.print(table)
    console.print(
        f"{len(found.candidates)} of {found.detainers:,} detainers and {found.episodes:,} episodes "
        f"(partitions {', '.join(map(str, found.partitions)) or 'none'}), model {found.model}",
        highlight=False,
        soft_wrap=True,
    )
    if found.truncated:
        console.print("A block of this name was too large to be looked at: there may be others.")


async def _ask(url: str, token: str, raw: bytes) -> Found:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), headers=headers) as session,
            session.post(f"{url}/v1/identity/search", data=raw) as answer,
        ):
            status, body = answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise MatcherAway(f"{url}: {type(error).__name__}") from None
    if status == 200:
        try:
            return msgspec.json.decode(body, type=Found)
        except msgspec.MsgspecError:
            raise MatcherAway(f"{url}: the answer is not that of a matcher") from None
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        raise MatcherAway(f"{url}: the answer, status {status}, is not that of a matcher") from None
    raise SearchRefused(f"{status} {problem.code}: {problem.detail}")


@app.command
def train(records: Path, out: Path, *, version: str, sample: int = 20_000, seed: int = 1) -> None:
    """Estimate parameters from people, one JSON object a line, without labels; write a model file.

    sample: how many people are searched for among all. The same records, sample and seed give the same file.
    """
    people = _people(records)
    if len(people) < 1_000:
        raise ContractViolation("too_few_records", f"{len(people)} people are too few to learn from; want 1,000")
    model = frequencies(people, load_model())
    index = WeighedEngine(model).new_index()
    for number, someone in enumerate(people):
        index.put(str(number), someone)
    rng = Random(seed)  # noqa: S311 - a sample, no secret
    asked = rng.sample(range(len(people)), min(sample, len(people)))
    blocked = [
        (people[n], people[int(other)]) for n in asked for other in sorted(index.block(people[n])[0]) if int(other) != n
    ]
    chance = [(rng.choice(people), rng.choice(people)) for _ in range(10 * sample)]
    found = estimate(blocked, chance, model, among=len(asked) * (len(people) - 1.0))
    # What was learnt is how records of one person differ. How likely it is beforehand that a record here is that of
    # somebody searched for is not in these records: one each is assumed, as in the model that is shipped.
    trained = msgspec.structs.replace(found, version=version, prior_bits=-log2(len(people)))
    try:
        out.write_bytes(encode(trained))
    except OSError as error:
        raise ContractViolation("file_unwritable", f"{out}: {error.strerror}") from None
    console.print(f"{out}: model {trained.digest}, from {len(people):,} people and {len(blocked):,} pairs")
