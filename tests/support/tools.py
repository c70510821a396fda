"""Programs that are no Python packages: where one is absent, the test that needs it is skipped, and says so."""

from __future__ import annotations

import shutil

import pytest

__all__ = ["program"]


def program(name: str, install: str) -> str:
    """Where `name` is on the PATH; without it, the test that asks is skipped, with `install` in the reason."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not there: {install}")
    return found
