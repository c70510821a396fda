"""Why an input is refused: the one exception of this domain."""

from __future__ import annotations

from typing import Final

__all__ = ["CODES", "Refused"]

CODES: Final = (
    "forbidden",
    "malformed_json", "gzip_invalid", "gzip_truncated",
    "body_too_large", "batch_too_large",
    "content_type_unsupported", "content_encoding_unsupported",
    "specversion_unsupported", "type_unknown", "kind_mismatch", "source_mismatch", "datacontenttype_unsupported",
    "missing_field", "unknown_field", "wrong_type", "invalid_value",
    "identifier_not_mergeable", "merge_mismatch", "merge_with_itself", "superseded_by_itself",
    "occurred_at_in_future", "snapshot_in_future",
    "batch_rejected",
    "detainer_unknown", "detainer_exists", "detainer_ended", "stale_version",
    "roster_not_configured", "not_utf8", "header_missing", "column_missing", "column_ambiguous",
    "snapshot_too_small", "snapshot_out_of_order",
    "row_malformed", "blank_booking_number", "duplicate_booking", "row_value_invalid",
)  # fmt: skip
"""Every reason code, in the order of docs/ingest.md, which says what each means."""


class Refused(Exception):
    """An input that is not taken.

    code: one of CODES; stable.
    detail: for people who look at what they sent; may quote it, and so never goes into a log (G8).
    field: JSON path, header or column at fault.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail[:500]
        self.field = field[:200] if field is not None else None
