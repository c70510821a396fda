"""`sallyport identity` and the edge that it asks: real indexes, a real socket, the real command line."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import msgspec
import pytest
from pydantic import SecretStr

from contracts.types.common import Tier
from contracts.types.custody import Booked
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName
from deploy.demo.world.people import Link, Population
from deploy.demo.world.places import HARTFORD
from services.matcher.adapters.metered import MeteredEngine
from services.matcher.api.search import MAX_BODY_BYTES, Found, SearchApi, read_person
from services.matcher.domain.fold import evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.inputs import CustodyInput
from services.matcher.domain.partition import PartitionState
from services.matcher.domain.rules import CITIZENSHIP
from services.matcher.identity_model import load_model
from services.matcher.metrics import IDENTITY_CANDIDATES, IDENTITY_NOBODY
from services.platform.cli import main
from services.platform.errors import ContractViolation
from services.platform.health import Health
from services.platform.http.edge import Edge
from tests.unit.matcher.people import at, detainer, fact, person

TOKEN = "a-token-of-tests"
EPISODE = "epi_" + "a" * 24


class Served:
    """A matcher's edge over a book of one detainer and one partition of one episode, both of `person()`."""

    def __init__(self, token: str | None = TOKEN, waiting: str | None = None) -> None:
        self.ground = Ground(MeteredEngine(WeighedEngine(load_model())))
        self.book = self.ground.detainers
        self.state = PartitionState(self.ground)
        self.book.put(detainer(), 0, 0)
        evolve(self.state, CustodyInput(fact(Booked, 0), EPISODE), at(0))
        self.waiting = waiting
        self.api = SearchApi(
            self.book,
            token=SecretStr(token) if token is not None else None,
            waiting=lambda: self.waiting,
            states=lambda: {3: self.state},
        )
        self.edge = Edge(
            "t", Health(), host="127.0.0.1", port=0, routes=[self.api.route()], max_body_bytes=MAX_BODY_BYTES
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.edge.port}"

    async def post(self, body: bytes, token: str = TOKEN) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/identity/search", data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    one = Served()
    await one.edge.start()
    yield one
    await one.edge.stop(1)


WHO = msgspec.json.encode(person())


async def test_both_sides_are_searched_and_no_name_comes_back(served: Served) -> None:
    status, body = await served.post(WHO)
    assert status == 200
    found = msgspec.convert(body, Found)
    assert [(hit.side, hit.record_id, hit.tier) for hit in found.candidates] == [
        ("detainer", detainer().detainer_id, Tier.CONFIRMED),
        ("episode", EPISODE, Tier.CONFIRMED),
    ]
    assert (found.detainers, found.episodes, found.partitions, found.truncated) == (1, 1, [3], False)
    assert found.model == served.book.engine.model
    for hit in found.candidates:
        assert {line.field for line in hit.evidence} >= {"surname", "given", "birth_date", "sid"}
        assert "identifier" in hit.passes
    answer = json.dumps(body).casefold()
    assert not [secret for secret in ("quillfeather", "orsolo", "1990", "1234567") if secret in answer]


async def test_the_rules_hold_for_a_search_too(served: Served) -> None:
    _, body = await served.post(msgspec.json.encode(msgspec.structs.replace(person(), us_citizenship_claimed=True)))
    by_side = {hit.side: hit for hit in msgspec.convert(body, Found).candidates}
    assert (by_side["detainer"].tier, by_side["detainer"].vetoes) == (Tier.POSSIBLE, [CITIZENSHIP])


async def test_what_is_found_is_counted(served: Served) -> None:
    confirmed = IDENTITY_CANDIDATES.labels("CONFIRMED")._value.get()
    nobody = IDENTITY_NOBODY._value.get()
    await served.post(WHO)
    status, body = await served.post(msgspec.json.encode(person("Ottermole", "Vashti", "1971-12-01", sid=None)))
    assert (status, body["candidates"]) == (200, [])
    assert IDENTITY_CANDIDATES.labels("CONFIRMED")._value.get() == confirmed + 2
    assert IDENTITY_NOBODY._value.get() == nobody + 2


@pytest.mark.parametrize("token", ["", "another", "a-token-of-testsx", TOKEN.upper(), "ä"])
async def test_another_token_is_401(served: Served, token: str) -> None:
    status, body = await served.post(WHO, token)
    assert (status, body["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("configured", [None, ""])
async def test_no_token_configured_is_403_whoever_asks(configured: str | None) -> None:
    served = Served(token=configured)
    await served.edge.start()
    try:
        for token in ("", TOKEN):
            status, body = await served.post(WHO, token)
            assert (status, body["code"]) == (403, "identity_search_off")
    finally:
        await served.edge.stop(1)


async def test_before_the_detainers_are_read_it_says_come_again(served: Served) -> None:
    served.waiting = "detainers not read yet"
    status, body = await served.post(WHO)
    assert (status, body["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", ""),
        (b"\xff", ""),
        (b"[]", ""),
        (b'{"birth_date": ["1990-03-04"]}', "$"),
        (b'{"names": [{"surname": "Q", "first": "O"}]}', "$.names[0]"),
        (b'{"identifiers": [{"kind": "sid", "value": "1", "state": "CT"}]}', "$.identifiers[0]"),
        (b'{"birth_dates": ["4.3.1990"]}', ""),
    ],
)
async def test_what_is_no_person_is_422_and_says_where(served: Served, raw: bytes, where: str) -> None:
    status, body = await served.post(raw)
    assert (status, body["code"]) == (422, "person_invalid")
    assert body.get("field", "") == where


async def test_a_body_too_large_is_413_and_the_largest_person_is_not(served: Served) -> None:
    status, body = await served.post(b" " * (MAX_BODY_BYTES + 1))
    assert (status, body["code"]) == (413, "body_too_large")
    word = "x" * 100
    largest = Person(
        names=[PersonName(surname=f"{n:02}{word[2:]}", given=word, middle=word, suffix="x" * 20) for n in range(50)],
        birth_dates=[f"19{n:02}-01-01" for n in range(20)],
        identifiers=[Identifier(kind=IdentifierKind.AGENCY_LOCAL, value="9" * 40, issuer="A" * 32)] * 50,
    )
    assert len(msgspec.json.encode(largest)) < MAX_BODY_BYTES / 2


def test_every_person_of_a_contract_is_read() -> None:
    assert read_person(WHO) == person()
    assert read_person(b"{}") == Person()
    with pytest.raises(ContractViolation) as caught:
        read_person(b'{"sex": "male"}')
    assert caught.value.reason == "person_invalid"


# -- the command line --------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`sallyport ...` as an operator runs it; its exit status."""
    monkeypatch.setattr(sys, "argv", ["sallyport", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    for name in ("SALLYPORT_MATCHER_URL", "SALLYPORT_IDENTITY_SEARCH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_bytes(WHO)
    other.write_bytes(msgspec.json.encode(person("Quillfether", "Orsolo", sid="7654321")))
    return one, other


def test_explain_prints_the_waterfall(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "identity", "explain", *map(str, files)) == 0
    shown = capsys.readouterr().out
    for word in (
        "surname",
        "given",
        "birth_date",
        "sex",
        "sid",
        "POSSIBLE",
        "two SIDs of CT",
        load_model().digest,
    ):
        assert word in shown
    *parts, odds = [float(bits) for bits in re.findall(r"([+-]\d+\.\d\d)", shown)]
    assert odds == pytest.approx(sum(parts), abs=0.05)
    promised = float(re.findall(r"probability (\d\.\d+)", shown)[0])
    assert promised == pytest.approx(1 / (1 + 2.0**-odds), abs=0.01)


@pytest.mark.parametrize(
    ("content", "code"), [(None, "file_unreadable"), (b"{", "person_invalid"), (b'{"name": "x"}', "person_invalid")]
)
def test_a_file_that_is_no_person_is_one_line_with_a_code(
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    code: str,
) -> None:
    bad = files[0].with_name("bad.json")
    if content is not None:
        bad.write_bytes(content)
    for command in (("explain", str(bad), str(files[1])), ("search", str(bad), "--url", "http://127.0.0.1:1")):
        assert run(monkeypatch, "identity", *command) == 2
        assert capsys.readouterr().err.startswith(f"{code}: {bad}")


async def test_search_asks_a_running_matcher(
    served: Served,
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SALLYPORT_MATCHER_URL", served.url)
    monkeypatch.setenv("SALLYPORT_IDENTITY_SEARCH_TOKEN", TOKEN)
    assert await asyncio.to_thread(run, monkeypatch, "identity", "search", str(files[0])) == 0
    shown = capsys.readouterr().out
    for word in ("detainer", "episode", "CONFIRMED", "identifier", "partitions 3", served.book.engine.model):
        assert word in shown
    monkeypatch.setenv("SALLYPORT_IDENTITY_SEARCH_TOKEN", "another")
    assert await asyncio.to_thread(run, monkeypatch, "identity", "search", str(files[0])) == 2
    assert capsys.readouterr().err.startswith("search_refused: 401 unauthenticated: ")


async def test_a_url_that_is_no_matcher_is_one_line_with_a_code(
    served: Served,
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for url in ("http://127.0.0.1:1", "nonsense", f"{served.url}/livez?"):
        command = ("identity", "search", str(files[0]), "--url", url, "--token", TOKEN)
        assert await asyncio.to_thread(run, monkeypatch, *command) == 2
        assert capsys.readouterr().err.startswith(("matcher_unreachable: ", "search_refused: 405 "))


def test_train_writes_a_model_that_the_matcher_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without labels, and the same file from the same people."""
    population = Population(Random(3))
    people = [population.wanted(population.draw(), link, HARTFORD) for link in (Link.NAME, Link.SSN4_MISSPELT) * 600]
    records, out, again = tmp_path / "people.jsonl", tmp_path / "own.json", tmp_path / "again.json"
    records.write_bytes(b"\n".join(msgspec.json.encode(someone) for someone in people))
    for file in (out, again):
        assert run(monkeypatch, "identity", "train", str(records), str(file), "--version", "1", "--sample", "200") == 0
    assert out.read_bytes() == again.read_bytes()
    assert load_model(out).version == "1"
    assert load_model(out).digest in capsys.readouterr().out
    records.write_bytes(msgspec.json.encode(people[0]))
    assert run(monkeypatch, "identity", "train", str(records), str(out), "--version", "2") == 2
    assert capsys.readouterr().err.startswith("too_few_records: ")
