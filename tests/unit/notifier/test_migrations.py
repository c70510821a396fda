"""A migration only adds, so that the version before goes on working while it is replaced, and can be gone back to."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import services.notifier.migrations.versions as versions

FILES = sorted(path.stem for path in Path(versions.__path__[0]).glob("0*.py"))
_TAKES_AWAY = re.compile(
    r"\bdrop\s+(table|column|view|constraint)\b|\brename\b|\balter\s+column\b|\bset\s+not\s+null\b|\bcreate\s+unique\b"
    r"|\bdelete\s+from\b|\btruncate\b",
    re.IGNORECASE,
)
_ADDED_COLUMN = re.compile(r"\badd\s+column\s+[^,;]*", re.IGNORECASE)


def complaints(statement: str) -> list[str]:
    """What in a statement would stop the version before: its inserts, or what it reads."""
    found = [match.group() for match in _TAKES_AWAY.finditer(statement)]
    return found + [
        match.group()
        for match in _ADDED_COLUMN.finditer(statement)
        if "not null" in match.group().lower() and "default" not in match.group().lower()
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_migration_only_adds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module(f"{versions.__name__}.{name}")
    statements: list[str] = []
    monkeypatch.setattr(migration.op, "execute", lambda statement: statements.append(str(statement)))
    monkeypatch.setattr(migration.op, "get_context", MagicMock)  # for one that is to be outside of a transaction
    migration.upgrade()
    assert statements, "by op.execute, so that it can be looked at here"
    assert [found for statement in statements for found in complaints(statement)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "alter table notices drop column body",
        "alter table notices rename column body to data",
        "alter table notices add column kind text not null",
        "alter table notices alter column version type bigint",
        "create unique index one_only on notices (conflict_id)",
    ],
)
def test_what_takes_away_is_found(statement: str) -> None:
    assert complaints(statement)


def test_a_column_with_a_default_is_fine() -> None:
    assert complaints("alter table deliveries add column overtaken boolean not null default false") == []
