"""`sallyport settings`: the reference of every setting, made from the settings classes (docs/operate/settings.md)."""

from __future__ import annotations

from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from cyclopts import App, Parameter
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from rich.console import Console

from services.platform.operator.contracts import SERVICES
from services.platform.settings import PlatformSettings

__all__ = ["app", "environment_names", "reference", "table"]

app = App(name="settings", help="Every setting of every service.")
console = Console(soft_wrap=True, highlight=False, markup=False)

_TYPES: Final[dict[Any, str]] = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
_BOUNDS: Final = (
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Gt, "gt", "more than"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Lt, "lt", "less than"),
)
_HEAD: Final = """# Every setting

Made by `sallyport settings --to docs/operate/settings.md` from the settings classes; a test holds it to them, so do not
edit it by hand. A setting is taken from the first of these that has it:

1. the environment variable of its name below;
2. the file that the variable with `_FILE` behind its name is the path of (`SALLYPORT_KAFKA_PASSWORD_FILE`);
3. the file of its name, in lower case and without `SALLYPORT_`, in the directory `SALLYPORT_SECRETS_DIR`
   (`/run/secrets/kafka_password`);
4. a `.env` file in the working directory; 5. the default.

Settings are read once, at the start, but for `SALLYPORT_SECRETS_KEYS` ([security.md](../security.md)). A value that
does not fit ends the start with `configuration` and the name of the setting, and exit status 2. Units are in the names:
`_s` seconds, `_ms` milliseconds. **secret**: shown in no log and no error; give it by file.
"""


def environment_names(name: str, field: FieldInfo) -> list[str]:
    """The environment variables that set the field `name`, the one to use first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str) and choice.isupper()]
    return [f"SALLYPORT_{name.upper()}"]


def _is_secret(kind: Any) -> bool:
    return kind is SecretStr or any(_is_secret(part) for part in get_args(kind))


def _type(kind: Any, field: FieldInfo) -> str:
    """The type in words, with its bounds."""
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not NoneType]
    if origin is Annotated:
        return _type(parts[0], field)
    if origin is Literal:
        said = " or ".join(f"`{part}`" for part in parts)
    elif origin in (Union, UnionType):
        return _type(parts[0], field)
    elif origin is list:
        said = "list, comma-separated"
    elif kind is SecretStr:
        said = "text"
    elif isinstance(kind, type) and issubclass(kind, Enum):
        said = " or ".join(f"`{member.value}`" for member in kind)
    else:
        said = _TYPES[kind]
    bounds = [
        f"{words} {_number(getattr(limit, attribute))}"
        for limit in field.metadata
        for bound, attribute, words in _BOUNDS
        if isinstance(limit, bound)
    ]
    return ", ".join([said, *bounds])


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{value}`" if value else "empty"


def _row(name: str, field: FieldInfo) -> str:
    first, *others = environment_names(name, field)
    variable = f"`{first}`" + "".join(f"<br>or `{other}`" for other in others)
    secret = " **secret**" if _is_secret(field.annotation) else ""
    about = (field.description or "").replace("|", "\\|")
    return f"| {variable} | {_type(field.annotation, field)}{secret} | {_default(field)} | {about} |"


def table(fields: dict[str, FieldInfo]) -> list[str]:
    """The lines of a Markdown table of settings."""
    return ["| variable | type | default | |", "|---|---|---|---|", *(_row(name, fields[name]) for name in fields)]


def _is_own(name: str, field: FieldInfo) -> bool:
    """Whether the service has the field, or another default or bound, for itself."""
    common = PlatformSettings.model_fields.get(name)
    return common is None or _row(name, common) != _row(name, field)


def reference() -> str:
    """The reference, as Markdown: what all services share, then what each has for itself."""
    lines = [_HEAD, "## All services", "", *table(PlatformSettings.model_fields)]
    for service in SERVICES:
        # By name and not by an import: the platform imports no service.
        module = import_module(f"services.{service}.settings")
        settings: type[PlatformSettings] = getattr(module, f"{service.capitalize()}Settings")
        own = {name: field for name, field in settings.model_fields.items() if _is_own(name, field)}
        again = sorted(own.keys() & PlatformSettings.model_fields.keys())
        lines += ["", f"## {service}", ""]
        if again:
            lines += [f"Unlike the others': {', '.join(f'`{name}`' for name in again)}.", ""]
        lines += table(own)
    return "\n".join(lines) + "\n"


@app.default
def write(
    *, to: Annotated[Path | None, Parameter(help="Write to this file instead of standard output.")] = None
) -> int:
    """Print every setting of every service: variable, type, bounds, default, meaning."""
    if to is None:
        console.out(reference(), end="")
    else:
        to.write_text(reference(), "utf-8")
    return 0
