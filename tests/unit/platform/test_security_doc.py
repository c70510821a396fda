"""The table of ACLs in docs/security.md is what is derived from contracts/topics.yaml."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from contracts.catalog import load_access, load_topics
from services.platform.kafka.acls import bindings_of

DOC = Path(__file__).resolve().parents[3] / "docs" / "security.md"
OF_PROVISIONING = {"CREATE", "DESCRIBE", "ALTER", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"}


def rows() -> list[str]:
    """The table, a row for each principal, operation and kind of resource; what provisioning takes is said in words."""
    found: list[str] = []
    for name in load_access():
        grouped: dict[tuple[str, str], list[str]] = {}
        for binding in sorted(bindings_of(name, "", load_topics(), load_access())):
            if binding.kind == "topic" and binding.operation in OF_PROVISIONING:
                continue
            shown = f"`{binding.name}{'*' if binding.prefixed else ''}`"
            grouped.setdefault((binding.kind, binding.operation), []).append(shown)
        for (kind, operation), names in grouped.items():
            found.append(f"| {name} | {operation} | {kind.replace('_', ' ')} {', '.join(names)} |")
    return found


def test_the_table_is_the_one_derived() -> None:
    after = DOC.read_text("utf-8").split("<!-- acls:")[1].splitlines()[1:]
    table = list(takewhile(lambda line: line.startswith("|"), after))
    assert table[2:] == rows()


def test_only_the_operator_provisions() -> None:
    for name in load_access():
        operations = {b.operation for b in bindings_of(name, "", load_topics(), load_access()) if b.kind == "topic"}
        assert (operations >= OF_PROVISIONING) == (name == "operator")
        assert operations <= {"READ", "WRITE", *(OF_PROVISIONING if name == "operator" else ())}
