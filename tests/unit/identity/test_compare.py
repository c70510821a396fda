"""What each field says of two people, and how much: levels, rarity, families, symmetry."""

from __future__ import annotations

from itertools import combinations

import pytest
from msgspec.structs import replace

from services.matcher.domain.identity.compare import compare
from services.matcher.domain.identity.model import LEVELS
from services.matcher.domain.identity.normalise import prepare
from services.matcher.identity_model import load_model
from tests.unit.identity.test_cases import CASES, person

MODEL = replace(
    load_model(),
    surname_frequency={"SMITH": 0.008, "SMYTH": 0.0001, "LANG": 0.0002, "PANG": 0.0001},
    given_frequency={"JAMES": 0.02, "BRIAN": 0.005, "BRYAN": 0.004},
    rare=1e-5,
)


def levels(one: str, other: str) -> dict[str, str]:
    return {w.field: w.level for w in compare(prepare(person(one)), prepare(person(other)), MODEL)}


def bits(one: str, other: str) -> float:
    return sum(w.bits for w in compare(prepare(person(one)), prepare(person(other)), MODEL))


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("Ostrivane", "Ostrivane", "exact"),
        ("O'Strivane", "OStrivane", "exact"),
        ("Mc Ostrivane", "McOstrivane", "exact"),
        ("Quiroga Baldovi", "Baldovi-Quiroga", "exact"),
        ("Quiroga Baldovi", "Baldovi", "part"),
        ("Ostrivane", "Ostirvane", "near"),
        ("Smith", "Smithh", "near"),
        ("Lang", "Pang", "lookalike"),
        ("Quiroga Baldovi", "Baldovv Teller", "sounds"),
        ("Ostrivane", "Qabbani", "differs"),
    ],
)
def test_surnames(one: str, other: str, level: str) -> None:
    assert levels(f"{one}, Ilse", f"{other}, Ilse")["surname"] == level


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("Walter", "Walter", "exact"),
        ("William", "Bill", "nickname"),
        ("Ellen", "Nell", "nickname"),
        ("Alexandra", "Alex", "nickname"),
        ("Wolframina", "Wolf", "nickname"),  # cut short, in no table
        ("Muhammad", "Mohamed", "nickname"),
        ("Wolfram", "Wolfarm", "near"),
        ("Brian", "Bryan", "nickname"),
        ("Abdul Karim", "Abdulkarim", "near"),
        ("Wolfram", "W", "initial"),
        ("Ilse Henrike", "Henrike", "crossed"),
        ("Ilse H", "Henrike", "crossed_initial"),
        ("Ilse H", "Henrike Odile", "differs"),  # has a middle name of her own
        ("Ilse", "Wolfram", "differs"),
    ],
)
def test_given_names(one: str, other: str, level: str) -> None:
    assert levels(f"Ostrivane, {one}", f"Ostrivane, {other}")["given"] == level


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("Ilse Henrike", "Ilse Henrike", "exact"),
        ("Ilse Henrike", "Ilse H", "initial"),
        ("Ilse Henrike", "Ilse Henrikke", "near"),
        ("Ilse Henrike", "Ilse Odile", "differs"),
        ("Ilse Henrike", "Wolfram H", "initial"),  # the middle name speaks even where the first ones differ
        ("Ilse Henrike", "Ilse", None),
        ("Ilse H", "Henrike", None),
    ],
)
def test_middle_names(one: str, other: str, level: str | None) -> None:
    assert levels(f"Ostrivane, {one}", f"Ostrivane, {other}").get("middle") == level


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("1970-03-11", "1970-03-11", "exact"),
        ("1970-03-11", "1970-11-03", "swapped"),
        ("1970-03-11", "1970-03-17", "one_digit"),
        ("1970-03-11", "1907-03-11", "one_digit"),  # two neighbours exchanged
        ("1970-03-11", "1970-03", "partial"),
        ("1970-03-11", "1970", "partial"),
        ("1970-03-11", "1970-03-29", "two_parts"),
        ("1970-03-11", "1980-03-21", "two_digits"),
        ("1970-03-11", "1970-08-25", "year"),
        ("1970-03-11", "1988-08-25", "differs"),
        ("1970-03-11 1988-08-25", "1988-08-25", "exact"),
    ],
)
def test_birth_dates(one: str, other: str, level: str) -> None:
    assert levels(f"Ostrivane, Ilse|{one}", f"Ostrivane, Ilse|{other}")["birth_date"] == level


def test_a_rare_name_says_more_than_a_common_one() -> None:
    def weights(name: str) -> dict[str, float]:
        return {w.field: w.bits for w in compare(prepare(person(name)), prepare(person(name)), MODEL)}

    assert weights("Ostrivane, Ilse")["surname"] > weights("Smith, Ilse")["surname"] + 8
    assert weights("Smith, Wolfram")["given"] > weights("Smith, James")["given"] + 8


def test_a_misspelling_says_more_than_another_name_that_people_bear() -> None:
    assert bits("Smith, Ilse", "Smithh, Ilse") > bits("Smith, Ilse", "Smyth, Ilse") + 2


def test_relatives_share_surname_and_twins_the_birth_date() -> None:
    one, other = (prepare(person(f"Ostrivane, {given}|1970-03-11")) for given in ("Ilse", "Wolfram"))
    assert {w.field: w.bits for w in compare(one, other, MODEL)}["family"] < -2
    assert "family" not in levels("Ostrivane, Ilse|1970-03-11", "Qabbani, Ilse|1970-03-11")


def test_what_either_side_lacks_is_not_compared() -> None:
    assert set(levels("Smith, Ilse|1970-03-11|F|ssn4=1234", "Smith")) == {"surname"}
    assert levels("Smith", "Qabbani|1970-03-11") == {"surname": "differs"}


@pytest.mark.parametrize("nobody", ["Unknown", "LNU", "No Name", "Female Child", "N/A"])
def test_words_for_nobody_are_a_missing_name(nobody: str) -> None:
    assert "surname" not in levels(f"{nobody}, Ilse|1970-03-11", "Ostrivane, Ilse|1970-03-11")


@pytest.mark.parametrize("somebody", ["No", "Son", "Man", "Person", "Child"])
def test_words_that_are_names_too_stay_names(somebody: str) -> None:
    assert levels(f"{somebody}, Ilse", f"{somebody}, Ilse")["surname"] == "exact"


def test_symmetric_in_every_pair_of_the_cases() -> None:
    people = [prepare(person(text)) for case in CASES for text in case[1:3]]
    for a, b in combinations(people[::3], 2):
        there, back = sorted(compare(a, b, MODEL)), sorted(compare(b, a, MODEL))
        assert [w[:2] for w in there] == [w[:2] for w in back]
        assert [w.bits for w in there] == pytest.approx([w.bits for w in back])


def test_every_weight_is_a_level_of_the_model_or_the_family() -> None:
    people = [prepare(person(text)) for case in CASES for text in case[1:3]]
    for a, b in combinations(people[::3], 2):
        for weight in compare(a, b, MODEL):
            assert weight.field == "family" or weight.level in LEVELS[weight.field]
