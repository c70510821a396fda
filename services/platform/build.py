"""Which build this is: what an image says of itself, else what is installed."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

__all__ = ["build_version"]


def build_version() -> str:
    """SALLYPORT_VERSION, which an image sets to the version that it is tagged with; else that of the installed package.

    An image carries the code without an installed package: `unknown` where it does not set the variable either.
    """
    if named := os.environ.get("SALLYPORT_VERSION"):
        return named
    try:
        return version("sallyport")
    except PackageNotFoundError:
        return "unknown"
