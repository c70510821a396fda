"""Where in a trace something stands: `traceparent` of W3C Trace Context, carried as a CloudEvents extension.

    00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01
    version, trace id, id of the span that led here, flags (01: recorded)

On Kafka it is the header `ce_traceparent`. Nothing depends on it: one that cannot be read is as good as none.
`tracestate` is not taken: it is free text of whoever sends, 512 characters and more, and headers name nobody (G8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["HEADER", "header", "trace_id_of", "traceparent_of", "valid"]

HEADER: Final = "ce_traceparent"
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^\s]*)?", re.ASCII)
_LONGEST: Final = 512


def valid(text: str | None) -> str | None:
    """The traceparent as version 00 spells it; None if there is none, or it is not one.

    A later version may go on behind the flags, and is read as far as it is known (Trace Context, 4.3.2).
    """
    if text is None or len(text) > _LONGEST:
        return None
    found = _FORM.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not trace.strip("0") or not span.strip("0"):
        return None
    return f"00-{trace}-{span}-{flags}"


def traceparent_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """That of a Kafka record; None if it has none, or none that can be read. Never raises."""
    value: bytes | None = None
    for name, given in headers:
        if name == HEADER:
            value = given
    return valid(value.decode("ascii", "replace")) if value is not None else None


def header(traceparent: str | None) -> list[tuple[str, bytes]]:
    """The Kafka header that carries it; nothing for None."""
    return [(HEADER, traceparent.encode())] if traceparent is not None else []


def trace_id_of(traceparent: str) -> str:
    """The trace id of a valid traceparent: 32 hexadecimal digits."""
    return traceparent[3:35]
