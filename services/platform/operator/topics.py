"""`sallyport topics apply|check`: the cluster's topics, and who may use them, against contracts/topics.yaml."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table

from contracts.catalog import load_access, load_topics
from services.platform.errors import ConfigurationError, SallyportError
from services.platform.kafka.acls import AclAdmin, Binding, default_principals, plan_acls
from services.platform.kafka.topics import Change, TopicAdmin, plan
from services.platform.operator.reading import make_console
from services.platform.settings import PlatformSettings

__all__ = ["DestructiveChange", "app", "principals_of"]

app = App(name="topics", help="Provision Kafka's topics.")
console = make_console()
Acls = Annotated[bool, Parameter(name="--acls", help="The ACLs of our principals, too.")]
Principal = Annotated[
    tuple[str, ...],
    Parameter(
        name="--principal",
        negative=(),
        help="Who a service is on Kafka, such as ingest=User:x; again for each. Otherwise User:sallyport-<service>.",
    ),
]


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
    acls: Acls = False,
    principal: Principal = (),
) -> int:
    """Create what is missing and change what differs.

    A change that may lose data is refused, and then nothing at all is changed. With --acls, what our principals are
    allowed beyond contracts/topics.yaml is taken from them; other principals are left alone.
    """
    declared, settings = load_topics(), PlatformSettings()
    principals = principals_of(principal)
    wanted = plan_acls(declared, load_access(), principals)
    with TopicAdmin(settings, replication_factor=replication_factor) as admin:
        if changes := plan(declared, admin.existing(list(declared))):
            _show(changes)
            destructive = sorted({c.topic for c in changes if c.destructive})
            if destructive and not allow_destructive:
                raise DestructiveChange(f"{', '.join(destructive)}: refused; nothing was changed (--allow-destructive)")
            admin.apply(changes, declared)
            console.print(f"{len(changes)} changes applied")
        else:
            console.print(f"{len(declared)} topics are as declared")
    if acls:
        with AclAdmin(settings) as door:
            existing = door.existing(principals.values())
            if wanted == existing:
                console.print(f"{len(wanted)} ACLs are as declared")
            else:
                _show_acls(wanted, existing)
                door.apply(wanted, existing)
                console.print(f"{len(wanted - existing)} ACLs made, {len(existing - wanted)} taken away")
    return 0


@app.command
def check(*, acls: Acls = False, principal: Principal = ()) -> int:
    """Compare, change nothing; exit status 1 if anything differs."""
    declared, settings = load_topics(), PlatformSettings()
    principals = principals_of(principal)
    wanted = plan_acls(declared, load_access(), principals)
    with TopicAdmin(settings) as admin:
        changes = plan(declared, admin.existing(list(declared)))
    if changes:
        _show(changes)
    else:
        console.print(f"{len(declared)} topics are as declared")
    differ = False
    if acls:
        with AclAdmin(settings) as door:
            existing = door.existing(principals.values())
        differ = wanted != existing
        if differ:
            _show_acls(wanted, existing)
        else:
            console.print(f"{len(wanted)} ACLs are as declared")
    return 1 if changes or differ else 0


def principals_of(given: tuple[str, ...]) -> dict[str, str]:
    """Short name -> principal, of `name=User:x` as the command line has them. Raises ConfigurationError."""
    principals = default_principals(load_access())
    for each in given:
        name, _, who = each.partition("=")
        if name not in principals or not who:
            raise ConfigurationError(f"--principal {each}: want one of {', '.join(principals)}, and =User:name")
        principals[name] = who
    return principals


def _show_acls(wanted: frozenset[Binding], existing: frozenset[Binding]) -> None:
    table = Table("principal", "operation", "of", "name", "to be")
    for binding in sorted(wanted ^ existing):
        name = f"{binding.name}*" if binding.prefixed else binding.name
        table.add_row(
            binding.principal, binding.operation, binding.kind, name, "made" if binding in wanted else "taken away"
        )
    console.print(table)
