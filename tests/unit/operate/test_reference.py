"""docs/operate: the settings are those of the classes, and every command line in it is one that `sallyport` takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
from cyclopts import CycloptsError, MissingArgumentError
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

from services.ingest.settings import IngestSettings
from services.matcher.settings import MatcherSettings
from services.notifier.settings import NotifierSettings
from services.platform.cli import app
from services.platform.operator.reference import environment_names, reference, table

ROOT = Path(__file__).resolve().parents[3]
OPERATE = ROOT / "docs" / "operate"


def test_the_reference_is_current() -> None:
    written = (OPERATE / "settings.md").read_text("utf-8")
    assert written == reference(), "sallyport settings --to docs/operate/settings.md"


@pytest.mark.parametrize("settings", [IngestSettings, MatcherSettings, NotifierSettings])
def test_every_setting_is_in_it_and_says_what_it_is(settings: type[BaseSettings]) -> None:
    text = reference()
    for name, field in settings.model_fields.items():
        assert field.description, f"{settings.__name__}.{name} has no description"
        for variable in environment_names(name, field):
            assert f"`{variable}`" in text


class Sample(BaseSettings):
    plain: str = Field(default="", description="Some text.")
    share: float = Field(default=0.25, ge=0, lt=1, description="A | share.")
    level: Literal["a", "b"] = Field(default="a", description="Which.")
    keys: Annotated[list[SecretStr], "no matter"] = Field(default=[], description="Keys.")
    token: SecretStr | None = Field(default=None, description="Token.")
    url: str = Field(default="x", validation_alias=AliasChoices("SALLYPORT_URL", "URL", "url"), description="Where.")


def test_type_bounds_default_and_secrecy_are_told() -> None:
    assert table(dict(Sample.model_fields))[2:] == [
        "| `SALLYPORT_PLAIN` | text | empty | Some text. |",
        "| `SALLYPORT_SHARE` | number, at least 0, less than 1 | 0.25 | A \\| share. |",
        "| `SALLYPORT_LEVEL` | `a` or `b` | `a` | Which. |",
        "| `SALLYPORT_KEYS` | list, comma-separated **secret** | empty | Keys. |",
        "| `SALLYPORT_TOKEN` | text **secret** | none | Token. |",
        "| `SALLYPORT_URL`<br>or `URL` | text | `x` | Where. |",
    ]


_LINE = re.compile(
    r"^(?:[A-Z_]+=\S+ +|kubectl (?:.+ )?exec .* -- |python -m deploy\.cluster (?=sallyport ))*(sallyport (?!-)[a-z].*)$"
)
_INLINE = re.compile(r"`(sallyport [^`]+)`")
_ENDS = ("|", ">", "<", "&&", ";", "2>", ">>")


def commands_of(text: str) -> Iterator[tuple[str, bool]]:
    """The `sallyport …` lines of a page: those that are indented or fenced, and those in the running text, which may
    leave their arguments out (True)."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        bare = line.strip().removeprefix("$ ")
        # Behind variables, too: `SALLYPORT_API_KEY=… sallyport feed …`; and behind what carries it into a container.
        if (found := _LINE.match(bare)) and line.startswith((" ", "$")):
            yield found[1], False
        else:
            yield from ((command, True) for command in _INLINE.findall(line))


def tokens_of(command: str) -> list[str]:
    lexer = shlex.shlex(command.replace("…", "X"), posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    tokens = list(lexer)[1:]
    return tokens[: next((i for i, token in enumerate(tokens) if token in _ENDS), len(tokens))]


PAGES = sorted(OPERATE.rglob("*.md"))


def wrong_with(command: str, brief: bool) -> str | None:
    """Why `sallyport` would not take the command line; None where it would."""
    try:
        app.parse_args(tokens_of(command), exit_on_error=False, print_error=False)
    except MissingArgumentError as error:
        return None if brief else str(error)
    except CycloptsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(OPERATE)) for page in PAGES])
def test_every_command_line_parses(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SALLYPORT_INGEST_URL", "SALLYPORT_API_KEY", "SALLYPORT_MATCHER_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:8080")  # the pages have them exported
    wrong = {c: said for c, brief in commands_of(page.read_text("utf-8")) if (said := wrong_with(c, brief))}
    assert wrong == {}


def test_a_wrong_command_line_is_found() -> None:
    page = "text\n\n    sallyport feeds show   # no such\n    A=b sallyport ledger rewind\n"
    page += "    kubectl -n sallyport exec -i deploy/sallyport-toolbox -- sallyport registry put /dev/stdin < FILE\n"
    page += "and `sallyport breaker shut`\n"
    found = dict(commands_of(page))
    assert found == {
        "sallyport feeds show   # no such": False,
        "sallyport ledger rewind": False,
        "sallyport registry put /dev/stdin < FILE": False,
        "sallyport breaker shut": True,
    }
    assert all(wrong_with(command, brief) for command, brief in found.items())
    assert wrong_with("sallyport ledger rewind", brief=True) is None


_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(OPERATE)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong: list[str] = []
    for target, anchor in _LINK.findall(page.read_text("utf-8")):
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            wrong.append(f"{target}#{anchor}" if anchor else target)
    assert wrong == []
