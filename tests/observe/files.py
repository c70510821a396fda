"""The files of deploy/observe and the runbooks, read."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["OBSERVE", "ROOT", "RUNBOOKS", "alerts", "board_queries", "code_of", "records", "rule_tests"]

ROOT: Final = Path(__file__).resolve().parents[2]
OBSERVE: Final = ROOT / "deploy" / "observe"
RUNBOOKS: Final = ROOT / "docs" / "operate" / "runbooks"
Rule = dict[str, Any]


@cache
def _rules() -> list[Rule]:
    files = sorted((OBSERVE / "rules").glob("*.yaml"))
    return [
        rule for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"] for rule in group["rules"]
    ]


def alerts() -> dict[str, Rule]:
    """Name -> rule."""
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def records() -> list[Rule]:
    """The recording rules."""
    return [rule for rule in _rules() if "record" in rule]


def rule_tests() -> list[tuple[str, Rule, Rule]]:
    """(name of the case, the case, one check of an alert in it), of every file for `promtool test rules`."""
    return [
        (case["name"], case, check)
        for file in sorted((OBSERVE / "tests").glob("*.yaml"))
        for case in yaml.safe_load(file.read_text("utf-8"))["tests"]
        for check in case["alert_rule_test"]
    ]


def board_queries() -> list[tuple[str, str]]:
    """(board: panel, query), of every board."""
    return [
        (f"{board['title']}: {panel['title']}", target["expr"])
        for file in sorted((OBSERVE / "boards").glob("*.json"))
        for board in [json.loads(file.read_text("utf-8"))]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def code_of(page: str) -> list[str]:
    """The lines of a page that are code: indented by four, as our pages have it, comments at their end left out."""
    lines = re.findall(r"^ {4,}(\S.*)$", page, re.MULTILINE)
    return [re.sub(r"\s{2,}#.*$", "", line).rstrip() for line in lines]
