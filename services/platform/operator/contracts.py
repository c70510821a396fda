"""`sallyport contracts asyncapi|openapi`: documents generated from the services as they are composed."""

from __future__ import annotations

from cyclopts import App

__all__ = ["app"]

app = App(name="contracts", help="AsyncAPI and OpenAPI documents of the services.")
