"""Contract types that refuse fields they do not know.

A contract lets an unknown field pass, so that it can grow. At the edge that would be a trap: a misspelled
`released_to`, silently ignored, turns a hand-over into a release to the community. So what comes in is decoded into
subclasses of the contract types, made here once, that differ in this alone; one decode does it all.
"""

from __future__ import annotations

import re
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from services.ingest.domain.refusal import Refused

__all__ = ["StrictDecoder", "refusal_of", "strict"]

T = TypeVar("T")


def strict(kind: Any) -> Any:
    """The type `kind` with every Struct in it, however deep, refusing unknown fields."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _strict_struct(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(strict(args[0]), *kind.__metadata__)]
    if origin in (Union, UnionType):
        return Union[tuple(strict(arg) for arg in args)]  # noqa: UP007 - made of a tuple
    if origin in (list, tuple, dict):
        return origin[tuple(arg if arg is ... else strict(arg) for arg in args)]
    return kind


@cache
def _strict_struct(kind: type[Struct]) -> type[Struct]:
    config = kind.__struct_config__
    hints = get_type_hints(kind, include_extras=True)
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            fields.append((field.name, strict(hints[field.name]), field.default))
        elif field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
            fields.append((field.name, strict(hints[field.name]), default))
        else:
            fields.append((field.name, strict(hints[field.name])))
    made: type[Struct] = msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(kind,),
        module=__name__,
        forbid_unknown_fields=True,
        kw_only=True,
        frozen=True,
        gc=False,
        tag=config.tag,
        tag_field=config.tag_field,
    )
    return made


_AT: Final = re.compile(r"(?P<said>.*?)(?: - at `(?P<path>[^`]*)`)?\Z", re.DOTALL)
_NAMED: Final = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`\Z", re.DOTALL)
_OWN: Final = re.compile(r"(?P<name>[a-z_]+): ")
_WRONG_TYPE: Final = re.compile(r"Expected `[^`]*`, got `[^`]*`\Z")


def refusal_of(error: Exception, path: str = "$") -> Refused:
    """What a decoder of msgspec said, as a refusal. `path`: JSON path of what was decoded."""
    if not isinstance(error, msgspec.ValidationError):
        return Refused("malformed_json", str(error) or "not JSON", path)
    match = _AT.match(str(error))
    said, at = (match["said"], match["path"] or "$") if match else (str(error), "$")
    where = path + at[1:]
    if named := _NAMED.match(said):
        code = "missing_field" if named["what"] == "missing required" else "unknown_field"
        return Refused(code, said, f"{where}.{named['name']}")
    if _WRONG_TYPE.match(said):
        return Refused("wrong_type", said, where)
    if own := _OWN.match(said):  # within_years names the field itself
        return Refused("invalid_value", said, f"{where}.{own['name']}")
    return Refused("invalid_value", said, where)


class StrictDecoder:
    """Decodes JSON into a contract type, strictly.

    kind: a contract type, or a union of tagged ones. What comes out are subclasses of it, equal in all fields.
    """

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.json.Decoder(strict(kind)).decode

    def decode(self, raw: Any, path: str = "$") -> Any:
        """Raises Refused, with the JSON path below `path`."""
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise refusal_of(error, path) from None
