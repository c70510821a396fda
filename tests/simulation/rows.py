"""The tables of the notifier's ledger, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Row", "Tables", "rows_of"]

Row = dict[str, Any]


class Tables:
    """notices, deliveries, subscriptions by id; attempts by (delivery, attempt); the outbox in order."""

    def __init__(self) -> None:
        self.notices: dict[str, Row] = {}
        self.deliveries: dict[str, Row] = {}
        self.subscriptions: dict[str, Row] = {}
        self.attempts: dict[tuple[str, int], Row] = {}
        self.outbox: list[Row] = []

    def copy(self) -> Tables:
        made = Tables()
        for name in ("notices", "deliveries", "subscriptions", "attempts"):
            setattr(made, name, {key: dict(row) for key, row in getattr(self, name).items()})
        made.outbox = list(self.outbox)
        return made


def rows_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[Row]:
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
