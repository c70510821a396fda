"""Which build this is: what it was told, else what is installed."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

__all__ = ["build_version"]


def build_version() -> str:
    """SALLYPORT_VERSION where it is set; else that of the installed package, which an image has on record too.

    `unknown` where there is neither.
    """
    if named := os.environ.get("SALLYPORT_VERSION"):
        return named
    try:
        return version("sallyport")
    except PackageNotFoundError:
        return "unknown"
