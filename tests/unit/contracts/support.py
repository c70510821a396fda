"""What the tests of the contracts share: which type stands for which schema, and a validator as strict as the schema.

The validator closes two gaps of the libraries against the standards: a `$` of JSON Schema (ECMA 262) does not stand
before a last newline as Python's does, and `date-time` is RFC 3339 to the last character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec

from contracts.catalog import load_schema
from contracts.types.conflict import Conflict, Review, ReviewDecision
from contracts.types.custody import CustodyEvent
from contracts.types.detainer import Detainer, DetainerCommand
from contracts.types.feed import Breaker, FeedStatus
from contracts.types.notice import Notice, NoticeEvent, Ping
from contracts.types.registry import RegistryRecord
from contracts.types.reject import Reject

EXAMPLES: Final = Path(__file__).parents[3] / "contracts" / "examples"

TYPES: Final[dict[str, Any]] = {
    "breaker.v1": Breaker,
    "conflict.v1": Conflict,
    "custody-event.v1": CustodyEvent,
    "detainer-command.v1": DetainerCommand,
    "detainer.v1": Detainer,
    "feed-status.v1": FeedStatus,
    "notice-event.v1": NoticeEvent,
    "notice.v1": Notice,
    "ping.v1": Ping,
    "registry-record.v1": RegistryRecord,
    "reject.v1": Reject,
    "review-decision.v1": ReviewDecision,
    "review.v1": Review,
}


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"does not match {pattern}")


_STOCK: Final = jsonschema.Draft202012Validator.FORMAT_CHECKER
_FORMATS = jsonschema.FormatChecker(())


@_FORMATS.checks("date-time")
def _is_date_time(instance: object) -> bool:
    if not isinstance(instance, str):
        return True
    return instance == instance.strip() and _STOCK.conforms(instance, "date-time")


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)


@cache
def validator(name: str) -> jsonschema.protocols.Validator:
    made: jsonschema.protocols.Validator = _Validator(load_schema(f"{name}.json"), format_checker=_FORMATS)
    return made


@cache
def decoder(name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(TYPES[name])


def type_takes(name: str, document: Any) -> bool:
    """Whether the Python type takes the document."""
    try:
        decoder(name).decode(json.dumps(document).encode())
    except msgspec.ValidationError:
        return False
    return True


def examples(*, invalid: bool = False) -> list[tuple[str, Path]]:
    """(schema, file) of every example, or of every counter-example."""
    pattern = "*/invalid/*.json" if invalid else "*/*.json"
    return [(path.relative_to(EXAMPLES).parts[0], path) for path in sorted(EXAMPLES.glob(pattern))]


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
