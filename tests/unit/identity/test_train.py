"""Parameters without labels: EM finds what was put in, counts names as they are, and gives the same file twice."""

from __future__ import annotations

from functools import lru_cache
from math import log2
from random import Random

import pytest
from msgspec.structs import replace

from services.matcher.domain.identity.model import LEVELS, Model, encode
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.train import estimate, frequencies
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model
from tests.unit.identity.test_cases import person

BARE = replace(load_model(), surname_frequency={}, given_frequency={}, rare=1e-4)
SYLLABLES = [a + b for a in "BDGKLMRSTVZ" for b in ("A", "IR")]
WRONG_DATE, MISSPELT, COPIED = 0.1, 0.15, 500


def _name(rng: Random) -> str:
    # The first syllables are commoner, as names are.
    return "".join(SYLLABLES[min(int(rng.expovariate(0.2)), 21)] for _ in range(3))


def _date(rng: Random) -> str:
    return f"{rng.randint(1940, 2005)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


@lru_cache(maxsize=1)
def _files() -> tuple[list[Prepared], list[Prepared]]:
    """2,000 people, and 1,000 others, of whom half are copies with errors."""
    rng = Random(4)
    on_file, asked = [], []
    for number in range(2_500):
        surname, given, born, sex = _name(rng), _name(rng), _date(rng), rng.choice("MF")
        if number < 2_000:
            on_file.append(prepare(person(f"{surname}, {given}|{born}|{sex}")))
        if number < COPIED or number >= 2_000:
            if rng.random() < MISSPELT:
                surname = surname[:2] + "X" + surname[2:]
            asked.append(
                prepare(person(f"{surname}, {given}|{_date(rng) if rng.random() < WRONG_DATE else born}|{sex}"))
            )
    return on_file, asked


@lru_cache(maxsize=1)
def _learnt() -> Model:
    on_file, asked = _files()
    known = frequencies([*on_file, *asked], BARE)
    index = WeighedEngine(known).new_index()
    index.build((str(number), someone) for number, someone in enumerate(on_file))
    blocked = [(someone, on_file[int(other)]) for someone in asked for other in sorted(index.block(someone)[0])]
    rng = Random(5)
    chance = [(rng.choice(asked), rng.choice(on_file)) for _ in range(20_000)]
    return estimate(blocked, chance, known, among=float(len(on_file) * len(asked)))


def test_the_prior_is_the_share_of_matches() -> None:
    on_file, asked = _files()
    assert _learnt().prior_bits == pytest.approx(log2(COPIED / (len(on_file) * len(asked))), abs=0.3)


def test_m_is_how_often_errors_were_made() -> None:
    m = {field: dict(zip(levels, _learnt().m[field], strict=True)) for field, levels in LEVELS.items()}
    assert m["birth_date"]["exact"] == pytest.approx(1 - WRONG_DATE, abs=0.05)
    assert m["surname"]["exact"] == pytest.approx(1 - MISSPELT, abs=0.05)
    assert m["surname"]["near"] == pytest.approx(MISSPELT, abs=0.05)
    assert m["given"]["exact"] == pytest.approx(1, abs=0.05)


def test_what_the_records_do_not_have_stays_as_it_was() -> None:
    assert _learnt().m["sid"] == BARE.m["sid"]
    assert _learnt().u["ssn4"] == BARE.u["ssn4"]


def test_shares_add_up() -> None:
    for table in (_learnt().m, _learnt().u):
        for field in LEVELS:
            assert sum(table[field]) == pytest.approx(1, abs=0.02)
            assert min(table[field]) > 0


def test_the_same_records_give_the_same_file() -> None:
    first = encode(_learnt())
    _learnt.cache_clear()
    assert encode(_learnt()) == first


def test_names_are_counted_and_mixed_with_those_known() -> None:
    people = [
        prepare(person(text)) for text in ["Ostrivane, Ilse"] * 900 + ["Qabbani, Walid"] * 98 + ["Teller, Ida"] * 2
    ]
    model = frequencies(people, replace(BARE, surname_frequency={"SMITH": 0.01}))
    assert model.surname_frequency["OSTRIVANE"] == pytest.approx(0.45)
    assert model.surname_frequency["SMITH"] == pytest.approx(0.005)
    assert "TELLER" not in model.surname_frequency  # borne by too few to name in a file


def test_a_date_on_the_papers_of_many_stands_out() -> None:
    rng = Random(6)
    people = [prepare(person(f"Ostrivane, Ilse|{_date(rng)}")) for _ in range(5_000)]
    people += [prepare(person("Ostrivane, Ilse|1980-01-01"))] * 60
    model = frequencies(people, BARE)
    assert set(model.common_births) == {"19800101"}
    one = prepare(person("|1980-01-01"))
    assert model.common_births["19800101"] > 10
    assert one.births == ("19800101",)


def test_a_calibration_stays_with_the_data_that_it_was_made_on() -> None:
    assert (BARE.slope, BARE.offset_bits) != (1.0, 0.0)
    assert (_learnt().slope, _learnt().offset_bits) == (1.0, 0.0)
