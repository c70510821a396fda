"""Structured logs: one JSON object a line, on standard output, with event ids and no personal data (G8).

`KEYS` is an allow-list. A key that is not on it is written as a count of dropped keys, and fails the tests that
run with `strict=True`: a new key is a decision, not an accident.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from services.platform.errors import SallyportError

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
    }
)  # fmt: skip


class UnknownLogKey(AssertionError):
    """A log call used a key that is not on the allow-list."""


class _AllowList:
    def __init__(self, strict: bool) -> None:
        self._strict = strict

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        unknown = [key for key in event if key not in KEYS and not key.startswith("_")]
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
    said = f": {error}" if isinstance(error, SallyportError | OSError) else ""
    event["exception"] = f"{type(error).__qualname__}{said} at {' < '.join(reversed(frames))}"
    return event


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
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _AllowList(strict),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiokafka", "faststream", "kafka", "asyncio", "granian", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; call with `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
