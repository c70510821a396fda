"""`sallyport contracts asyncapi|openapi`: documents generated from the services as they are composed."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import App, Parameter
from rich.console import Console

from services.platform.asyncapi import Composed, asyncapi_document

__all__ = ["SERVICES", "app", "describe", "document", "render"]

Name = Literal["ingest", "matcher", "notifier"]
Kind = Literal["asyncapi", "openapi"]
SERVICES: tuple[Name, ...] = get_args(Name)
KINDS: tuple[Kind, ...] = get_args(Kind)
Out = Annotated[Path | None, Parameter(help="Write to this file instead of standard output.")]

app = App(name="contracts", help="AsyncAPI and OpenAPI documents of the services.")
console = Console(soft_wrap=True, highlight=False, markup=False)


def describe(service: Name) -> Composed:
    """The service as its composition root builds it, from default settings; nothing is started.

    By name and not by an import: the platform imports no service.
    """
    composed: Composed = import_module(f"services.{service}.app").describe()
    return composed


def document(kind: Kind, service: Name) -> dict[str, Any]:
    """The document of the service as composed now."""
    composed = describe(service)
    return asyncapi_document(service, composed.broker) if kind == "asyncapi" else composed.edge.openapi()


def render(found: dict[str, Any]) -> str:
    """The one spelling of a document: that of docs/api."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _put(kind: Kind, service: Name, out: Path | None) -> int:
    text = render(document(kind, service))
    if out is None:
        console.out(text, end="")
    else:
        out.write_text(text, "utf-8")
    return 0


@app.command
def asyncapi(service: Name, *, out: Out = None) -> int:
    """Print the AsyncAPI 3.0 document of SERVICE: its topics, keys, headers and schemas."""
    return _put("asyncapi", service, out)


@app.command
def openapi(service: Name, *, out: Out = None) -> int:
    """Print the OpenAPI 3.1 document of SERVICE: its HTTP edge."""
    return _put("openapi", service, out)


@app.command
def write(*services: Name, to: Annotated[Path, Parameter(help="Their directory.")] = Path("docs/api")) -> int:
    """Write the documents of SERVICES, or of all, to docs/api, where a test holds them to the services."""
    for service in services or SERVICES:
        for kind in KINDS:
            _put(kind, service, to / f"{service}.{kind}.json")
    return 0
