"""Structured logs: one JSON object a line, on standard output, with event ids and no personal data (G8).

`KEYS` is an allow-list. A key that is not on it is written as a count of dropped keys, and fails the tests that
run with `strict=True`: a new key is a decision, not an accident.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from services.platform.errors import SallyportError
from services.platform.tracing import current_trace_id

__all__ = ["KEYS", "configure", "get_logger"]

KEYS: Final = frozenset(
    {
        # what structlog writes itself
        "event", "level", "logger", "timestamp", "exception", "stack",
        # who
        "service", "instance", "version",
        # which record: ids are hashes or opaque, never a name or a number that names a person
        "event_id", "source", "detainer_id", "episode_id", "conflict_id", "conflict_version", "notice_id",
        "delivery_id", "review_id", "reject_id", "subscription_id", "agency", "facility",
        # where
        "topic", "partition", "offset", "group", "host", "port", "path", "method", "table",
        # what came of it
        "code", "field", "stage", "outcome", "status", "reason", "error", "attempt", "count", "bytes", "kind",
        "duration_ms", "age_ms", "deadline_s", "wait_s", "lag", "signal", "exit_code", "partitions", "rows",
        # where in which trace (docs/traces.md)
        "trace_id",
    }
)  # fmt: skip


_CHATTY: Final = ("aiokafka", "faststream", "kafka", "asyncio", "granian", "uvicorn")
_REMEMBERED: Final = 1000


class UnknownLogKey(AssertionError):
    """A log call used a key that is not on the allow-list."""


class _AllowList:
    def __init__(self, strict: bool) -> None:
        self._strict = strict

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        unknown = [key for key in event if key not in KEYS and key != "dropped_keys" and not key.startswith("_")]
        if unknown and self._strict:
            raise UnknownLogKey(f"not on the allow-list of services/platform/logs.py: {sorted(unknown)}")
        for key in unknown:
            del event[key]
        if unknown:
            event["dropped_keys"] = len(unknown)
        return event


def _exception_without_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where and what type, and the message only of our own errors: a foreign message may quote the input."""
    info = event.pop("exc_info", None)
    if not info:
        return event
    if isinstance(info, BaseException):
        error: BaseException | None = info
    else:
        error = info[1] if isinstance(info, tuple) else sys.exc_info()[1]
    if error is None:
        return event
    frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    said = ""
    if isinstance(error, SallyportError):
        said = f": {error}"
    elif isinstance(error, OSError) and error.errno is not None:
        said = f": {os.strerror(error.errno)}"  # str() of it has the path, and a file may be named after a person
    event["exception"] = f"{type(error).__qualname__}{said} at {' < '.join(reversed(frames))}"
    return event


def _trace_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The trace that is at work, where there is one."""
    if (trace_id := current_trace_id()) is not None:
        event.setdefault("trace_id", trace_id)
    return event


def _foreign_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The first line of what a library says; asyncio's up to the first value, since it prints the repr of errors."""
    text = str(event.get("event", "")).partition("\n")[0]
    if event.get("logger") == "asyncio":
        found = re.match(r"[A-Za-z ,]+", text)
        text = found[0].strip() if found else "asyncio"
    event["event"] = text
    return event


class _Sparing(logging.Filter):
    """Lets a library say the same thing once in `seconds`, and then how often it had more to say of it.

    While the broker is away, aiokafka writes some thousand lines a second, copies of a few.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CHATTY):
            return True
        key, now = (record.name, str(record.msg)), time.monotonic()
        last, more = self._said.get(key, (-self._seconds, 0))
        if now - last < self._seconds:
            self._said[key] = (last, more + 1)
            return False
        if len(self._said) > _REMEMBERED:
            self._said.clear()
        self._said[key] = (now, 0)
        if more:
            record.msg = f"{record.msg} (and {more} more like it)"
        return True


def configure(service: str, instance: str, level: str = "info", *, strict: bool = False) -> None:
    """Set up logging of the process, the standard library's included.

    strict: an unknown key raises UnknownLogKey instead of being dropped; for tests.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_values,
        _trace_id,
    ]
    structlog.configure(
        # The allow-list is here too, since an error inside a logging handler never reaches whoever logs.
        processors=[*shared, _AllowList(strict), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_Sparing())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _foreign_text],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _AllowList(strict=False),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; call with `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
