"""The synthetic population and its clerical errors: the same for the same seed, and as described."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from contracts.types.person import Identifier, IdentifierKind, NameKind, Person, PersonName, Sex
from tests.benchmark.identity.errors import ERRORS, RATES, Kind, mistype
from tests.benchmark.identity.measures import Pair, best_threshold, bins, ece, quality, wilson, worst_bin
from tests.benchmark.identity.names import Drawn, NameTables, load
from tests.benchmark.identity.origins import ORIGINS, SURNAMES, Origin
from tests.benchmark.identity.population import LARGEST, made, people


def tiny() -> NameTables:
    """A few names for each origin, so that nothing has to be installed."""
    surnames = {
        origin: Drawn.of([f"{origin.name}{letter * 3}SON" for letter in "ABCDEFGH"], range(8, 0, -1))
        for origin in Origin
    }
    givens = {
        (origin, female): Drawn.of(
            ["ROBERTA", "MARIA"] if female else ["ROBERT", "JOSE", "WILLIAM"], [3, 2, 1][female:]
        )
        for origin in Origin
        for female in (False, True)
    }
    return NameTables(surnames, givens)


def someone(**given: object) -> Person:
    fields: dict[str, object] = {
        "names": [
            PersonName(surname="GARCIA LOPEZ", given="ROBERT", middle="M", suffix="JR"),
            PersonName(surname="WALKER", given="BERT", kind=NameKind.ALIAS),
            PersonName(surname="SMITH", given="ROBERT", kind=NameKind.MAIDEN),
        ],
        "birth_dates": ["1990-03-07", "1991-03-07"],
        "sex": Sex.FEMALE,
        "identifiers": [
            Identifier(kind=IdentifierKind.SID, value="01234567", issuer="TX"),
            Identifier(kind=IdentifierKind.SSN4, value="1234"),
            Identifier(kind=IdentifierKind.AGENCY_LOCAL, value="99", issuer="TX0010000"),
        ],
    }
    return Person(**{**fields, **given})  # type: ignore[arg-type]


def test_the_same_seed_makes_the_same_people_whatever_range_is_asked_for() -> None:
    names = tiny()
    whole = list(people(names, 1, 6000))
    assert list(people(names, 1, 3000, start=3000)) == whole[3000:]
    assert [one.number for one in made(names, 1, 5, start=4094)] == [4094, 4095, 4096, 4097, 4098]
    assert list(people(names, 2, 50)) != whole[:50]


def test_another_process_makes_the_same_people() -> None:
    program = (
        "from tests.unit.identity.test_population import tiny; "
        "from tests.benchmark.identity.population import people; print(list(people(tiny(), 3, 20)))"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == str(list(people(tiny(), 3, 20)))


def test_nobody_shares_an_identifier_but_the_last_digits_of_a_social_security_number() -> None:
    names = tiny()
    seen: Counter[Identifier] = Counter()
    for seed in (1, 2):
        for person in people(names, seed, 20_000):
            seen.update(i for i in person.identifiers if i.kind is not IdentifierKind.SSN4)
    assert seen.total() > 40_000
    assert max(seen.values()) == 1


def test_rates_are_as_described() -> None:
    all_of_them = list(made(tiny(), 4, 30_000))
    origins = Counter(one.origin for one in all_of_them)
    for origin, rates in ORIGINS.items():
        low, high = wilson(origins[origin], len(all_of_them), z=4)
        assert low <= rates.share / sum(r.share for r in ORIGINS.values()) <= high
    persons = [one.person for one in all_of_them]
    shares = {
        "female": (sum(p.sex is Sex.FEMALE for p in persons), 0.14),
        "alias": (sum(len(p.names) > 1 for p in persons), 0.1),
        "second birth date": (sum(len(p.birth_dates) > 1 for p in persons), 0.02),
        "middle": (sum(p.names[0].middle is not None for p in persons), 0.5),
        "sid": (sum(any(i.kind is IdentifierKind.SID for i in p.identifiers) for p in persons), 0.5),
        "ucn": (sum(any(i.kind is IdentifierKind.UCN for i in p.identifiers) for p in persons), 0.3),
    }
    for count, expected in shares.values():
        low, high = wilson(count, len(persons), z=4)
        assert low <= expected <= high
    hispanics = [one.person.names[0].surname for one in all_of_them if one.origin is Origin.HISPANIC]
    assert 0.4 < sum(" " in name or "-" in name for name in hispanics) / len(hispanics) < 0.5
    assert all("1946" <= born <= "2008-06-01" for p in persons for born in p.birth_dates[:1])
    with pytest.raises(ValueError, match="people 0 to"):
        next(people(tiny(), 1, 2, start=LARGEST - 1))


def test_names_are_drawn_by_their_weight() -> None:
    drawn = Drawn.of(["A", "B", "C"], [3, 0, 1])
    assert list(drawn.draw(np.array([0.0, 0.74, 0.76, 0.999999]))) == ["A", "A", "C", "C"]
    with pytest.raises(ValueError, match="no name"):
        Drawn.of(["A"], [0])


def test_tables_take_apart_what_the_census_lumps_together(tmp_path: Path) -> None:
    surnames, givens = tmp_path / "surnames.tsv", tmp_path / "givens.tsv"
    surnames.write_text(
        "SMITH\t1000\t70\t25\t1\t2\t2\nNGUYEN\t500\t1\t0\t98\t0\t1\nCHEN\t400\t1\t0\t98\t0\t1\nPATEL\t300\t1\t0\t98\t0\t1\n"
        "KIM\t200\t1\t0\t98\t0\t1\nALI\t200\t60\t20\t18\t0\t1\nGARCIA\t800\t5\t1\t1\t0\t92\n"
    )
    givens.write_text("JOHN\t900\t60\t20\t10\t5\t5\t99\nMARY\t900\t60\t20\t10\t5\t5\t1\n")
    tables = load(surnames, givens)
    assert {origin: list(drawn.names) for origin, drawn in tables.surnames.items()} == {
        Origin.EUROPEAN: ["SMITH"],
        Origin.BLACK: ["SMITH", "ALI"],
        Origin.HISPANIC: ["GARCIA"],
        Origin.VIETNAMESE: ["NGUYEN"],
        Origin.CHINESE: ["CHEN"],
        Origin.SOUTH_ASIAN: ["PATEL"],
        Origin.ARABIC: ["ALI"],
        Origin.OTHER_ASIAN: ["KIM"],
        Origin.NATIVE: ["SMITH"],
    }
    assert "MINH" in tables.givens[Origin.VIETNAMESE, False].names
    assert len(set(SURNAMES[Origin.CHINESE]) & set(SURNAMES[Origin.VIETNAMESE])) == 0


def test_mistyping_depends_on_the_seed_alone_and_names_what_it_did() -> None:
    person = someone()
    assert mistype(person, Random(3)) == mistype(person, Random(3))
    assert mistype(person, Random(3), {}) == (person, frozenset())
    every = mistype(person, Random(1), dict.fromkeys((Kind.SEX_ABSENT, Kind.DATE_ABSENT), 1.0))
    assert every.kinds == {Kind.SEX_ABSENT, Kind.DATE_ABSENT}
    assert every.person.sex is None
    assert every.person.birth_dates == []
    assert set(ERRORS) == set(RATES) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (Kind.SURNAME_DROPPED, "surname", {"GARCIA"}),
        (Kind.SURNAME_ORDER, "surname", {"LOPEZ GARCIA"}),
        (Kind.SPELLING, "surname", {"GARCIA-LOPEZ", "GARCIALOPEZ"}),
        (Kind.NICKNAME, "given", {"BOB", "ROB", "BOBBY"}),
        (Kind.INITIAL, "given", {"R"}),
        (Kind.NAMES_SWAPPED, "given", {"GARCIA LOPEZ"}),
        (Kind.ALIAS, "surname", {"WALKER"}),
        (Kind.MAIDEN, "surname", {"SMITH"}),
        (Kind.MIDDLE_ABSENT, "middle", {None}),
        (Kind.SUFFIX_ABSENT, "suffix", {None}),
    ],
)
def test_each_error_of_a_name(kind: Kind, field: str, expected: set[str | None]) -> None:
    seen = {getattr(mistype(someone(), Random(n), {kind: 1.0}).person.names[0], field) for n in range(30)}
    assert seen == expected


def test_errors_of_dates_leave_dates() -> None:
    def births(kind: Kind) -> set[str]:
        return {mistype(someone(), Random(n), {kind: 1.0}).person.birth_dates[0] for n in range(40)}

    assert births(Kind.DAY_MONTH) == {"1990-07-03"}
    assert births(Kind.DATE_PARTIAL) == {"1990", "1990-03"}
    assert all(born.endswith("-03-07") and born[:4] != "1990" for born in births(Kind.DATE_YEAR))
    assert all(sum(a != b for a, b in zip(born, "1990-03-07", strict=True)) == 1 for born in births(Kind.DATE_DIGIT))
    unswappable = mistype(someone(birth_dates=["1990-03-17"]), Random(1), {Kind.DAY_MONTH: 1.0})
    assert unswappable.kinds == frozenset()


def test_errors_of_identifiers() -> None:
    def values(kind: Kind) -> list[str]:
        return [i.value for i in mistype(someone(), Random(5), {kind: 1.0}).person.identifiers]

    assert values(Kind.IDS_ABSENT) == []
    assert values(Kind.LOCAL_ID_ABSENT) == ["01234567", "1234"]
    sid, ssn4, local = values(Kind.SID_TYPO)
    assert (ssn4, local) == ("1234", "99")
    assert sum(a != b for a, b in zip(sid, "01234567", strict=True)) == 1


def test_spelling_by_sound_and_slips_change_one_name_a_little() -> None:
    for kind in (Kind.SOUND_SURNAME, Kind.TYPO_SURNAME):
        for n in range(30):
            wrong = mistype(someone(), Random(n), {kind: 1.0}).person.names[0]
            assert wrong.given == "ROBERT"
            assert abs(len(wrong.surname) - len("GARCIA LOPEZ")) <= 2


def test_what_cannot_happen_to_a_person_is_not_counted() -> None:
    nobody = Person()
    assert mistype(nobody, Random(1), dict.fromkeys(Kind, 1.0)).kinds <= {Kind.SEX_WRONG}


def test_measures() -> None:
    pairs = [
        Pair(bits, p, same) for bits, p, same in ((9, 0.95, True), (8, 0.95, True), (3, 0.4, False), (2, 0.1, True))
    ]
    assert best_threshold(pairs, truth=4) == 5.5
    found = quality(pairs, 4, 5.5)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)
    by_bin = bins(pairs)
    assert [(b.low, b.pairs, b.so) for b in by_bin] == [(0.1, 1, 1.0), (0.4, 1, 0.0), (0.9, 2, 1.0)]
    assert ece(by_bin) == pytest.approx((0.9 + 0.4 + 2 * 0.05) / 4)
    assert worst_bin(by_bin) == 0.0  # none has enough pairs to be judged
    low, high = wilson(0, 20_000)
    assert low == 0.0
    assert 0.00015 < high < 0.0002
