"""The tables of a run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from contracts.types.conflict import Stage
from deploy.demo.judge import Verdict
from deploy.demo.play import Latencies, percentile
from deploy.demo.sender import Sent

__all__ = ["show"]

_SHOWN = 20
"""Most lines of what is missing or extra; the count says how many there are."""

_BY_IDENTITY = {
    "misspelt_with_number": ("typing error in the surname, SSN4 agrees", "told, not confirmed"),
    "sex_mistyped": ("A-number and name agree, sex does not", "told, not confirmed"),
    "false_name": ("false surname, fingerprints agree", "told"),
    "misspelt": ("typing error in the surname, no number", "a person is asked"),
    "nicknamed": ("nickname", "a person is asked"),
    "day_and_month_exchanged": ("day and month of birth exchanged", "a person is asked"),
    "namesake": ("same name and birth date, other fingerprints", "a person is asked"),
    "contradicted": ("A-number agrees, name and birth date do not", "a person is asked"),
    "claims_citizenship": ("fingerprints agree, US citizenship claimed", "a person is asked"),
    "somebody_else": ("fingerprints agree, name and birth date do not", "a person is asked"),
}
"""Plots that turn on who somebody is: what was known, and what must come of it."""


def _plain(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(min_width=34)
    table.add_column(justify="right")
    return table


def _milliseconds(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.0f} / {percentile(values, 0.95):.0f} / {percentile(values, 0.99):.0f} ms"


def show(
    console: Console, sent: Sent, verdict: Verdict, latencies: Latencies, *, commands_first: int, repeated: int
) -> None:
    """Print what went in, what came out, how fast, and whether it is right.

    commands_first: detainers that were lodged before the stream. repeated: events sent twice on purpose.
    """
    into = _plain("In")
    into.add_row("custody events taken", f"{sent.events:,}")
    into.add_row("  of them sent twice on purpose", f"{repeated:,}")
    into.add_row("detainers lodged before the stream", f"{commands_first:,}")
    into.add_row("detainer commands in the stream", f"{sent.commands - commands_first:,}")
    if sent.took_s:
        into.add_row(
            "rate of the stream", f"{(sent.events + sent.commands - commands_first) / sent.took_s:.0f} a second"
        )
    console.print(into)

    stages = _plain("Conflicts that stand, by stage")
    for stage in Stage:
        if verdict.stages[stage]:
            stages.add_row(stage.replace("_", " "), f"{verdict.stages[stage]:,}")
    stages.add_row("[bold]all[/bold]", f"{sum(verdict.stages.values()):,}")
    stages.add_row("open reviews (identity only possible; nobody was told)", f"{verdict.open_reviews:,}")
    console.print(stages)

    if any(verdict.pairs[plot] for plot in _BY_IDENTITY):
        who = Table(title="Who is it? Beyond records that agree to the letter", title_justify="left")
        who.add_column("what was known", min_width=34)
        who.add_column("what must come of it")
        who.add_column("as it must", justify="right")
        for plot, (known, comes) in _BY_IDENTITY.items():
            who.add_row(known, comes, f"{verdict.right[plot]} of {verdict.pairs[plot]}")
        console.print(who)

    out = _plain("Out")
    out.add_row("webhooks that arrived, signature verified", f"{verdict.webhooks:,}")
    out.add_row("  of them repeats of one notice", f"{sum(verdict.repeats.values()):,}")
    out.add_row("versions overtaken by a newer one before they were sent", f"{verdict.overtaken:,}")
    out.add_row("e-mails that arrived", f"{verdict.emails:,}")
    if latencies.from_sent:
        out.add_row(
            "p50 / p95 / p99, accepted by ingest → webhook read by its receiver", _milliseconds(latencies.from_accepted)
        )
        out.add_row("p50 / p95 / p99, sender begins its request → the same", _milliseconds(latencies.from_sent))
    console.print(out)

    truth = _plain("Against the truth of the script")
    for name, lines in (("missing", verdict.missing), ("extra", verdict.extra)):
        truth.add_row(name, f"[{'red' if lines else 'green'}]{len(lines)}[/]")
    console.print(truth)
    for name, lines in (("missing", verdict.missing), ("extra", verdict.extra)):
        for line in lines[:_SHOWN]:
            console.print(f"[red]{name}[/red] {line}", highlight=False)
