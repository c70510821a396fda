"""Why an input is refused: the one exception of this domain."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """An input that is not taken.

    code: reason code, stable, in snake case; docs/ingest.md lists them all.
    detail: for people who look at what they sent; may quote it, and so never goes into a log (G8).
    field: JSON path, header or column at fault.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail[:500]
        self.field = field[:200] if field is not None else None
