"""The released schemas and the Python types say the same, field by field and limit by limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.catalog import load_schema
from tests.unit.contracts.support import TYPES

YEARS = "^(19|2[0-9])[0-9]{2}-"
BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
PROSE = ("$schema", "$id", "title", "description", "discriminator")


def normalised(node: Any) -> Any:
    """What a schema demands, without its prose and without two spellings of one thing."""
    if isinstance(node, list):
        return [normalised(item) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) >= {"properties"}:
        return {k: normalised(v) for k, v in node.items() if k not in (*PROSE, "properties")} | {
            "properties": {name: normalised(schema) for name, schema in node["properties"].items()},
            "required": sorted(node.get("required", [])),
        }
    out = {key: normalised(value) for key, value in node.items() if key not in PROSE}
    if isinstance(out.get("enum"), list):
        out["type"] = "string"
        out["enum"] = sorted(out["enum"])
        if len(out["enum"]) == 1:
            out["const"] = out.pop("enum")[0]
    if "const" in out:
        out["type"] = "string"
    if isinstance(out.get("pattern"), str):
        out["pattern"] = out["pattern"].replace(r"\Z", "$")  # the end of the string, in Python and in ECMA 262
    if out.get("contentEncoding") == "base64":
        out.setdefault("pattern", BASE64)  # in Python the decoder of bytes sees to it
    if out.get("format") == "date-time" and out.get("pattern") == YEARS:
        del out["pattern"]  # in Python `within_years` sees to it; test_differential.py shows that the two agree
    return out


@pytest.mark.parametrize("name", TYPES)
def test_schema_and_type_demand_the_same(name: str) -> None:
    released = normalised(load_schema(f"{name}.json"))
    of_type = normalised(msgspec.json.schema(TYPES[name]))
    assert released == of_type


def test_a_difference_in_a_limit_is_seen() -> None:
    """The comparison above is no formality: each of these is a difference."""
    schema = msgspec.json.schema(TYPES["reject.v1"])
    spoils: list[Callable[[dict[str, Any]], object]] = [
        lambda s: s["required"].remove("raw"),
        lambda s: s["properties"]["detail"].update(maxLength=501),
        lambda s: s["properties"]["code"].update(pattern="^[a-z]+$"),
        lambda s: s["properties"]["part"].pop("minimum"),
        lambda s: s["properties"].pop("content_type"),
        lambda s: s["properties"].update(extra={"type": "string"}),
    ]
    for spoil in spoils:
        other = msgspec.json.decode(msgspec.json.encode(schema))
        spoil(other["$defs"]["Reject"])
        assert normalised(other) != normalised(schema)
