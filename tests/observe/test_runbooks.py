"""Runbooks can be followed: each says what it means, what to look at and what to do, by requests and queries that there
are. Their links and `sallyport` commands: tests/unit/operate, which reads all of docs/operate."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.observe.files import ROOT, RUNBOOKS, code_of
from tests.observe.promql import assert_known, selectors

PAGES = sorted(RUNBOOKS.glob("*.md"))
OPERATE = RUNBOOKS.parent
HEADLINES = ["What it means", "What to look at", "What to do"]
_HTTP = re.compile(r"(GET|POST|DELETE) (/\S*)$")


def _pages() -> list[Any]:
    return [pytest.param(page, id=page.stem) for page in PAGES]


@pytest.mark.parametrize("page", _pages())
def test_a_runbook_has_three_parts_and_something_in_each(page: Path) -> None:
    title, *parts = re.split(r"^## ", page.read_text("utf-8"), flags=re.MULTILINE)
    assert title == f"# {page.stem}\n\n"
    assert [part.splitlines()[0] for part in parts] == HEADLINES
    assert all(len(part.split()) > 25 for part in (parts[0], parts[2]))
    assert code_of(parts[1])


@pytest.mark.parametrize("service", ["ingest", "matcher", "notifier"])
def test_every_check_of_readiness_is_explained(service: str) -> None:
    module = importlib.import_module(f"services.{service}.app")
    page = (RUNBOOKS / "SallyportNotReady.md").read_text("utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    explained = {
        name for row in rows if "all" in row[2] or service in row[2] for name in re.findall(r"`(\w+)`", row[1])
    }
    assert set(module.describe().health.ready_names()) <= explained


def _said_by_attempts() -> set[str]:
    """Every string in the code of attempts, as a pattern; what is put in at run time is one character."""
    adapters = ROOT / "services" / "notifier" / "adapters"
    found = set()
    for file in ("dispatcher.py", "smtp.py", "webhook.py"):
        for node in ast.walk(ast.parse((adapters / file).read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                found.add("".join(re.escape(str(v.value)) if isinstance(v, ast.Constant) else "." for v in node.values))
    return found


def test_why_an_attempt_fails_is_called_as_the_notifier_calls_it() -> None:
    page = (RUNBOOKS / "SallyportEndpointFailing.md").read_text("utf-8").partition("## What to do")[2]
    named = {code for line in page.splitlines() for code in re.findall(r"`([a-z]\w+)`", line)} - {"http_status"}
    assert "secret_unreadable" in named
    said = _said_by_attempts()
    assert not {code for code in named if not any(re.fullmatch(pattern, code) for pattern in said)}


def _lines(kind: str) -> list[Any]:
    found = []
    for page in [*PAGES, OPERATE / "objectives.md", OPERATE / "observe.md"]:
        lines = [line for line in code_of(page.read_text("utf-8")) if _kind(line) == kind]
        found += [pytest.param(line, id=f"{page.stem}: {line[:60]}") for line in lines]
    return found


def _kind(line: str) -> str:
    first = line.split()[0]
    if first in ("sallyport", "select", "promtool", "python"):
        return first
    if _HTTP.match(line):
        return "http"
    return "tool" if first.startswith("kafka-") else "query"


def _routes() -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for file in (ROOT / "docs" / "api").glob("*.openapi.json")
        for path, operations in json.loads(file.read_text("utf-8"))["paths"].items()
        for method in operations
    }


@pytest.mark.parametrize("line", _lines("http"))
def test_a_request_is_one_that_a_service_answers(line: str) -> None:
    match = _HTTP.match(line)
    assert match is not None
    assert (match[1], match[2]) in _routes()


@pytest.mark.parametrize("line", _lines("query"))
def test_a_query_asks_for_metrics_that_there_are(line: str) -> None:
    assert selectors(line)
    assert_known(line)
