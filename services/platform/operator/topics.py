"""`sallyport topics apply|check`: the cluster's topics against contracts/topics.yaml."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from contracts.catalog import load_topics
from services.platform.errors import SallyportError
from services.platform.kafka.topics import Change, TopicAdmin, plan
from services.platform.settings import PlatformSettings

__all__ = ["DestructiveChange", "app"]

app = App(name="topics", help="Provision Kafka's topics.")
console = Console()


class DestructiveChange(SallyportError):
    """The change may lose records or their order, and was not allowed in so many words."""

    code = "destructive_change"


def _show(changes: list[Change]) -> None:
    table = Table("topic", "what", "setting", "now", "wanted", "may lose data")
    for c in changes:
        table.add_row(c.topic, c.what, c.key, c.now, c.wanted, "[red]yes[/red]" if c.destructive else "no")
    console.print(table)


@app.command
def apply(
    *,
    allow_destructive: Annotated[
        bool, Parameter(help="Carry out changes that may lose records or their order.")
    ] = False,
    replication_factor: Annotated[int, Parameter(help="Of new topics; -1 takes the broker's default.")] = -1,
) -> int:
    """Create what is missing and change what differs.

    A change that may lose data is refused, and then nothing at all is changed.
    """
    declared = load_topics()
    with TopicAdmin(PlatformSettings(), replication_factor=replication_factor) as admin:
        changes = plan(declared, admin.existing(list(declared)))
        if not changes:
            console.print(f"{len(declared)} topics are as declared")
            return 0
        _show(changes)
        destructive = sorted({c.topic for c in changes if c.destructive})
        if destructive and not allow_destructive:
            raise DestructiveChange(f"{', '.join(destructive)}: refused; nothing was changed (--allow-destructive)")
        admin.apply(changes, declared)
    console.print(f"{len(changes)} changes applied")
    return 0


@app.command
def check() -> int:
    """Compare, change nothing; exit status 1 if anything differs."""
    declared = load_topics()
    with TopicAdmin(PlatformSettings()) as admin:
        changes = plan(declared, admin.existing(list(declared)))
    if not changes:
        console.print(f"{len(declared)} topics are as declared")
        return 0
    _show(changes)
    return 1
