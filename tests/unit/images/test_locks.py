"""What each image would carry, by the locks: nothing that only another service needs. No engine is needed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ("ingest", "matcher", "notifier")
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(service: str) -> set[str]:
    text = (ROOT / "requirements" / f"{service}.txt").read_text()
    return {_normal(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==", text, re.MULTILINE)}


def _named(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~; ]", one)[0]) for one in requirements}


@pytest.mark.parametrize("service", SERVICES)
def test_a_lock_has_its_own_packages_and_those_of_no_other_service(service: str) -> None:
    extras = {name: _named(_PROJECT["optional-dependencies"][name]) for name in SERVICES}
    locked = _locked(service)
    assert _named(_PROJECT["dependencies"]) | extras[service] <= locked
    for other in SERVICES:
        assert not (extras[other] - extras[service]) & locked, f"{service} carries what only {other} needs"


def test_what_the_locks_differ_by_is_what_the_extras_bring() -> None:
    """Not only the packages that pyproject names: theirs too. ingest has none of its own, so its lock is the base."""
    base = _locked("ingest")
    only_matcher, only_notifier = _locked("matcher") - base, _locked("notifier") - base
    assert {"numpy", "rapidfuzz", "holidays"} <= only_matcher
    assert {"sqlalchemy", "asyncpg", "cryptography", "cffi", "greenlet", "mako"} <= only_notifier
    assert not only_matcher & only_notifier


@pytest.mark.parametrize("service", SERVICES)
def test_every_package_is_locked_by_hash(service: str) -> None:
    text = (ROOT / "requirements" / f"{service}.txt").read_text()
    pinned = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert {_normal(re.split(r"[\[=]", one)[0]) for one in pinned} == _locked(service)
    assert all("--hash=sha256:" in one for one in pinned)


def test_the_build_context_lets_in_nothing_but_what_the_images_are_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert not [place for place in let_in if re.search(r"secret|\.env|\.git|\.dev|tests", place)]
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy/Containerfile").read_text(), re.MULTILINE))
    for source in (source for group in copied for source in group.split()):
        name = source.replace("[s]", "s")
        assert any(re.fullmatch(re.escape(rule).replace(r"\*", "[^/]*") + "(/.*)?", name) for rule in let_in), source
