"""A service can say which build it is, installed or not: one that could not would not start."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from services.platform import build


def test_an_image_says_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_VERSION", "1.2.3")
    assert build.build_version() == "1.2.3"


def test_a_checkout_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALLYPORT_VERSION", raising=False)
    assert build.build_version() == version("sallyport")


def test_code_that_is_not_installed_still_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.delenv("SALLYPORT_VERSION", raising=False)
    monkeypatch.setattr(build, "version", missing)
    assert build.build_version() == "unknown"
