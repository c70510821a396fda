"""From weights to a tier: what confirms, what caps, and that the same two records give the same verdict either way."""

from __future__ import annotations

from itertools import combinations

import pytest

from contracts.types.common import Tier
from services.matcher.domain.identity.model import decode, encode
from services.matcher.domain.identity.normalise import prepare
from services.matcher.domain.identity.verdict import judge
from services.matcher.identity_model import load_model
from tests.unit.identity.test_cases import CASES, person

MODEL = load_model()
PEOPLE = [prepare(person(text)) for case in CASES for text in case[1:3]]


def test_symmetric() -> None:
    for a, b in combinations(PEOPLE[::3], 2):
        there, back = judge(a, b, MODEL, hopeless=False), judge(b, a, MODEL, hopeless=False)
        assert there is not None
        assert back is not None
        assert there[0].tier is back[0].tier
        assert there[0].vetoes == back[0].vetoes
        assert there[0].probability == pytest.approx(back[0].probability)


def test_hopeless_pairs_are_those_that_would_be_none() -> None:
    for a, b in combinations(PEOPLE[::2], 2):
        quick, whole = judge(a, b, MODEL), judge(a, b, MODEL, hopeless=False)
        assert whole is not None
        assert quick == whole if quick is not None else whole[0].tier is Tier.NONE


def test_name_and_birth_date_alone_stay_possible_however_rare() -> None:
    """Rule 1."""
    text = "Ostrivane Kestermund, Ilsebeth Wolframine Odile|1970-03-11 1971-03-11|F"
    found = judge(prepare(person(text)), prepare(person(text)), MODEL)
    assert found is not None
    assert found[0].probability is not None
    assert found[0].probability > MODEL.probable
    assert found[0].tier is Tier.POSSIBLE


def test_only_a_fingerprint_based_identifier_confirms() -> None:
    for identifiers in ("a_number=777123 ssn4=4821", "agency_local@CT001=55 a_number=777123"):
        one = prepare(person(f"Ostrivane, Ilse|1970-03-11|F|{identifiers}"))
        found = judge(one, one, MODEL)
        assert found is not None
        assert found[0].tier is Tier.PROBABLE


def test_a_veto_caps_whatever_else_agrees() -> None:
    one = prepare(person("Ostrivane, Ilse|1970-03-11|F|sid@CT=12345 ucn=88AA1 ssn4=4821"))
    other = prepare(person("Ostrivane, Ilse|1970-03-11|F|sid@CT=12345 ucn=99ZZ4 ssn4=4821"))
    found = judge(one, other, MODEL)
    assert found is not None
    assert found[0].tier is Tier.POSSIBLE
    assert found[0].vetoes == ["two UCNs"]


def test_a_sid_that_is_one_of_several_is_no_veto() -> None:
    one = prepare(person("Ostrivane, Ilse|1970-03-11|F|sid@CT=12345 sid@CT=98765"))
    other = prepare(person("Ostrivane, Ilse|1970-03-11|F|sid@CT=98765"))
    found = judge(one, other, MODEL)
    assert found is not None
    assert found[0].tier is Tier.CONFIRMED
    assert found[0].vetoes == []


def test_the_waterfall_adds_up_to_the_probability() -> None:
    one = prepare(person("Ostrivane, Ilse|1970-03-11|F|ssn4=4821"))
    other = prepare(person("Ostrivnae, Else|1970-03-17|F"))
    found = judge(one, other, MODEL, hopeless=False)
    assert found is not None
    identity, bits = found
    assert sum([line.bits or 0.0 for line in identity.evidence]) == pytest.approx(bits, abs=0.01)
    assert identity.probability == pytest.approx(MODEL.probability(bits), abs=1e-8)


def test_the_decision_names_the_model() -> None:
    """G7: what is read back from a file has the same name, and another parameter another."""
    assert decode(encode(MODEL)).digest == MODEL.digest
    found = judge(PEOPLE[0], PEOPLE[0], MODEL)
    assert found is not None
    assert found[0].model == MODEL.digest


def test_a_model_without_a_level_is_refused() -> None:
    broken = encode(MODEL).replace(b'"ssn4"', b'"ssn5"', 1)
    with pytest.raises(ValueError, match="ssn4"):
        decode(broken)
