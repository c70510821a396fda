"""`sallyport identity explain|search|train`: what the engine says, and parameters from an operator's own records."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
from cyclopts import App
from rich.console import Console
from rich.table import Table

from contracts.types.person import Person
from services.matcher.domain.identity.model import encode
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.train import estimate, frequencies
from services.matcher.domain.identity.verdict import judge
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model
from services.platform.errors import ContractViolation

__all__ = ["app"]

app = App(name="identity", help="Who is this, how sure, and why.")
console = Console()


def _person(raw: bytes, where: str) -> Person:
    try:
        return msgspec.json.decode(raw, type=Person)
    except msgspec.DecodeError as error:
        raise ContractViolation("person_invalid", f"{where}: {error}") from None


def _people(path: Path) -> list[Prepared]:
    lines = path.read_bytes().splitlines()
    return [prepare(_person(line, f"{path}:{n}")) for n, line in enumerate(lines, 1) if line.strip()]


@app.command
def explain(a: Path, b: Path, *, model: Path | None = None) -> None:
    """Print the waterfall of two people, each a JSON file as in contracts/types/person.py."""
    weighing = load_model(model)
    one, other = (prepare(_person(path.read_bytes(), str(path))) for path in (a, b))
    verdict = judge(one, other, weighing, hopeless=False)
    assert verdict is not None
    identity, bits = verdict
    table = Table("field", "outcome", "bits")
    table.add_row("before anything is compared", "", f"{weighing.prior_bits:+.2f}")
    for line in identity.evidence:
        table.add_row(line.field, line.outcome, f"{line.bits:+.2f}")
    table.add_row("sum", "", f"{weighing.prior_bits + bits:+.2f}")
    console.print(table)
    console.print(f"{identity.tier.value}, probability {identity.probability:.6f}, model {identity.model}")
    for veto in identity.vetoes:
        console.print(f"veto: {veto}", highlight=False)


@app.command
def search(person: Path, records: Path, *, model: Path | None = None) -> None:
    """Search a file of people, one JSON object a line, for a person; candidates are named by their line."""
    engine = WeighedEngine(load_model(model))
    index = engine.new_index()
    for number, someone in enumerate(_people(records), 1):
        index.put(str(number), someone)
    table = Table("line", "tier", "probability", "passes", "vetoes")
    found = index.find(prepare(_person(person.read_bytes(), str(person))))
    for hit in sorted(found, key=lambda hit: -(hit.identity.probability or 0.0)):
        identity = hit.identity
        table.add_row(
            hit.record_id,
            identity.tier.value,
            f"{identity.probability:.6f}",
            ", ".join(hit.passes),
            "; ".join(identity.vetoes),
        )
    console.print(table)
    if any(hit.truncated for hit in found):
        console.print("The name-only pass was cut: there may be others of this name.")


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
    trained = msgspec.structs.replace(estimate(blocked, chance, model), version=version)
    out.write_bytes(encode(trained))
    console.print(f"{out}: model {trained.digest}, from {len(people):,} people and {len(blocked):,} pairs")
