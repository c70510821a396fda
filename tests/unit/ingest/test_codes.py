"""The reason codes of ingest: listed once, explained in docs/ingest.md, and no others in use."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from services.ingest.domain.refusal import CODES

ROOT = Path(__file__).resolve().parents[3]
OF_ALL_SERVICES = {"unauthenticated", "broker_unavailable", "unavailable"}
"""In the table too, and no refusals: nothing of these is kept."""


def test_the_page_explains_every_code_in_this_order() -> None:
    page = (ROOT / "docs" / "ingest.md").read_text("utf-8")
    table = page.partition("## Codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    explained = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert [code for code in explained if code not in OF_ALL_SERVICES] == list(CODES)


def test_no_other_code_is_used() -> None:
    used = {
        call.args[0].value
        for file in (ROOT / "services" / "ingest").rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Refused"
        if isinstance(call.args[0], ast.Constant)
    }
    assert used
    assert used <= set(CODES)
