"""Two records of one person, and of two: a case a line. All of these people are made up."""

from __future__ import annotations

import pytest

from contracts.types.common import Tier
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from services.matcher.domain.identity.engine import Candidate
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import load_model

ENGINE = WeighedEngine(load_model())
POSSIBLE, CONFIRMED, PROBABLE, NONE = Tier.POSSIBLE, Tier.CONFIRMED, Tier.PROBABLE, Tier.NONE


def person(text: str) -> Person:
    """`Surname, Given; alias, given | date date | M | kind[@issuer]=value ...`; any part may be empty."""
    names, dates, sex, ids = (part.strip() for part in (text + "|||").split("|")[:4])
    identifiers = []
    for item in ids.split():
        kind, _, value = item.partition("=")
        kind, _, issuer = kind.partition("@")
        identifiers.append(Identifier(kind=IdentifierKind(kind), value=value, issuer=issuer or None))
    parsed = []
    for name in filter(None, names.split(";")):
        surname, _, given = name.partition(",")
        parsed.append(PersonName(surname=surname.strip(), given=given.strip() or None))
    return Person(names=parsed, birth_dates=dates.split(), sex=Sex(sex) if sex else None, identifiers=identifiers)


def find(filed: str, asked: str) -> Candidate | None:
    index = ENGINE.new_index()
    index.put("filed", ENGINE.prepare(person(filed)))
    found = index.find(ENGINE.prepare(person(asked)))
    return found[0] if found else None


CASES = [
    # what                       filed                                            asked                                            tier
    ("Hispanic, both surnames", "Quiroga Baldovi, Nuria|1981-05-17|F", "Baldovi Quiroga, Nuria|1981-05-17|F", POSSIBLE),
    ("Hispanic, second dropped", "Quiroga Baldovi, Nuria|1981-05-17", "Quiroga, Nuria|1981-05-17", POSSIBLE),
    ("Hispanic, first dropped", "Quiroga Baldovi, Nuria|1981-05-17", "Baldovi, Nuria|1981-05-17", POSSIBLE),
    ("hyphen, accent, particle", "de la Peñafría-Oroz, José|1979-02-11", "Penafria Oroz, Jose|1979-02-11", POSSIBLE),
    ("second dropped, and SSN4", "Quiroga Baldovi, Nuria|1981-05-17||ssn4=4821", "Quiroga, Nuria|1981-05-17||ssn4=4821", PROBABLE),
    ("Vietnamese, accents", "Đặngvũ, Thị Hươngly|1990-12-01|F", "Dangvu, Thi Huongly|1990-12-01|F", POSSIBLE),
    ("Vietnamese, middle name alone", "Nguyen, Thanh Quocbao|1990-12-01", "Nguyen, Quocbao|1990-12-01", POSSIBLE),
    ("Vietnamese, in one word", "Nguyen, Quoc Bao|1990-12-01", "Nguyen, Quocbao|1990-12-01", POSSIBLE),
    ("Vietnamese, turned round", "Tranhvu, Quocbao|1990-12-01", "Quocbao, Tranhvu|1990-12-01", POSSIBLE),
    ("Arabic spellings", "al-Tamrazi, Mohammed|1985-09-23", "Tamrazy, Muhamad|1985-09-23", POSSIBLE),
    ("Arabic script", "تمرازي, محمد|1985-09-23", "تمرازي, محمد|1985-09-23", POSSIBLE),
    ("Arabic, article joined", "al-Tamrazi, Yusuf|1985-09-23", "Altamrazi, Youssef|1985-09-23", POSSIBLE),
    ("Arabic, servant of", "Tamrazi, Abd al-Karim|1985-09-23", "Tamrazi, Abdulkarim|1985-09-23", POSSIBLE),
    ("Arabic, father's name left out", "Tamrazi, Khaled Mahmoud|1985-09-23", "Tamrazi, Khalid|1985-09-23", POSSIBLE),
    ("Arabic, turned round", "Tamrazi, Khalid|1985-09-23", "Khalid, Tamrazi|1985-09-23", POSSIBLE),
    ("nickname", "Ostrivane, William|1970-03-30", "Ostrivane, Bill|1970-03-30", POSSIBLE),
    ("initial", "Ostrivane, William|1970-03-30", "Ostrivane, W|1970-03-30", POSSIBLE),
    ("both initials", "Ostrivane, William Emeric|1970-03-30", "Ostrivane, W E|1970-03-30", POSSIBLE),
    ("goes by the middle name", "Ostrivane, William Emeric|1970-03-30", "Ostrivane, Emeric|1970-03-30", POSSIBLE),
    ("surname not known", "LNU, Ilsebeth|1970-03-30", "Ostrivane, Ilsebeth|1970-03-30", POSSIBLE),
    ("maiden name, rare given name", "Kestermund, Ilsebeth|1970-03-30|F", "Ostrivane, Ilsebeth|1970-03-30|F", POSSIBLE),
    ("maiden name, common given name", "Kestermund, Maria|1970-03-30|F", "Ostrivane, Maria|1970-03-30|F", NONE),
    ("maiden name, and SSN4", "Kestermund, Maria|1970-03-30|F|ssn4=4821", "Ostrivane, Maria|1970-03-30|F|ssn4=4821", POSSIBLE),
    ("maiden name as an alias", "Kestermund, Ilse; Ostrivane, Ilse|1970-03-30", "Ostrivane, Ilse|1970-03-30", POSSIBLE),
    ("names swapped", "Ostrivane, Ilsebeth|1970-03-30", "Ilsebeth, Ostrivane|1970-03-30", POSSIBLE),
    ("day and month swapped", "Ostrivane, Ilsebeth|1970-03-11", "Ostrivane, Ilsebeth|1970-11-03", POSSIBLE),
    ("one digit of the date", "Ostrivane, Ilsebeth|1970-03-11", "Ostrivane, Ilsebeth|1970-03-17", POSSIBLE),
    ("second birth date", "Ostrivane, Ilsebeth|1970-03-11 1971-08-20", "Ostrivane, Ilsebeth|1971-08-20", POSSIBLE),
    ("identical, no identifier", "Ostrivane, Ilsebeth|1970-03-11|F", "Ostrivane, Ilsebeth|1970-03-11|F", POSSIBLE),
    ("a common name", "Smith, James|1970-03-11|M", "Smith, James|1970-03-11|M", POSSIBLE),
    ("a common name, no date", "Smith, James||M", "Smith, James||M", NONE),
    ("a common name, and SSN4", "Smith, James|1970-03-11|M|ssn4=4821", "Smith, James|1970-03-11|M|ssn4=4821", PROBABLE),
    ("a common name, SSN4s differ", "Smith, James|1970-03-11|M|ssn4=4821", "Smith, James|1970-03-11|M|ssn4=9930", POSSIBLE),
    ("typing errors, and SSN4", "Ostrivane, Ilse|1970-03-11||ssn4=4821", "Ostrivnae, Ilse|1970-03-17||ssn4=4821", PROBABLE),
    ("and the same SSN4", "Ostrivane, Ilse|1970-03-11||ssn4=4821", "Ostrivane, Ilse|1970-03-11||ssn4=4821", PROBABLE),
    ("A-number agrees", "Ostrivane, Ilse|1970-03-11||a_number=A012345671", "Ostrivane, Ilse|1970-03-11||a_number=12345671", PROBABLE),
    ("SID agrees", "Ostrivane, Ilse|1970-03-11||sid@CT=CT0012345", "Ostriwane, Else|1970-03-11||sid@CT=12345", CONFIRMED),
    ("SID, false name", "Ostrivane, Ilse|1970-03-11||sid@CT=12345", "Qabbani, Walida|1970-03-11||sid@CT=12345", CONFIRMED),
    ("SID of another state", "Ostrivane, Ilse|1970-03-11||sid@CT=12345", "Ostrivane, Ilse|1970-03-11||sid@MA=12345", POSSIBLE),
    ("SID with a typing error", "Ostrivane, Ilse|1970-03-11||sid@CT=7712345", "Ostrivane, Ilse|1970-03-11||sid@CT=7712354", POSSIBLE),
    ("SID agrees, married since", "Kestermund, Ilse|1970-03-11||sid@CT=12345", "Ostrivane, Ilse|1970-03-11||sid@CT=12345", CONFIRMED),
    ("UCN agrees, names turned", "Ostrivane, Ilse|1970-03-11||ucn=8812AA1", "Ilse, Ostrivane|1970-03-11||ucn=8812AA1", CONFIRMED),
    ("A-number on another person", "Ostrivane, Ilse|1970-03-11||a_number=777123", "Qabbani, Walid|1991-07-30||a_number=777123", POSSIBLE),
    ("UCNs differ", "Ostrivane, Ilse|1970-03-11||ucn=8812AA1", "Ostrivane, Ilse|1970-03-11||ucn=4456BC9", POSSIBLE),
    ("one SID on two people", "Ostrivane, Ilse|1970-03-11||sid@CT=12345", "Qabbani, Walid|1991-07-30||sid@CT=12345", POSSIBLE),
    ("SID agrees, UCNs differ", "Ostrivane, Ilse|1970-03-11||sid@CT=1234 ucn=88AA1", "Ostrivane, Ilse|1970-03-11||sid@CT=1234 ucn=99ZZ4", POSSIBLE),
    ("Jr and Sr", "Ostrivane Jr, Walter|1970-03-11||ssn4=4821", "Ostrivane Sr, Walter|1970-03-11||ssn4=4821", POSSIBLE),
    ("father and son, no suffix", "Ostrivane, Walter|1970-03-11|M", "Ostrivane, Walter|1995-08-29|M", NONE),
    ("father and Jr", "Ostrivane, Walter|1970-03-11|M|ssn4=4821", "Ostrivane Jr, Walter|1995-08-29|M|ssn4=4821", POSSIBLE),
    ("twins", "Ostrivane, Ilse|1970-03-11|F", "Ostrivane, Wolfram|1970-03-11|M", NONE),
    ("twins, one A-number", "Ostrivane, Ilse|1970-03-11|F|a_number=777123", "Ostrivane, Gerda|1970-03-11|F|a_number=777123", POSSIBLE),
    ("strangers of one name", "Smith, James|1970-03-11|M", "Smith, James|1988-08-25|M", NONE),
    ("strangers", "Ostrivane, Ilse|1970-03-11|F", "Qabbani, Walid|1991-07-30|M", NONE),
    ("common name, other date", "Smith, John|1970-03-11|M", "Smith, John|1991-07-30|M", NONE),
    ("surname and date only", "Ostrivane, Ilse|1970-03-11", "Smith, Ilse|1988-01-02", NONE),
]  # fmt: skip


@pytest.mark.parametrize(("what", "filed", "asked", "tier"), CASES, ids=[case[0] for case in CASES])
def test_cases(what: str, filed: str, asked: str, tier: Tier) -> None:
    for one, other in ((filed, asked), (asked, filed)):
        found = find(one, other)
        assert (found.identity.tier if found else NONE) is tier, found


@pytest.mark.parametrize(
    ("filed", "asked", "veto"),
    [
        ("Ostrivane, Ilse|1970-03-11||sid@CT=12345", "Ostrivane, Ilse|1970-03-11||sid@CT=98765", "two SIDs of CT"),
        ("Ostrivane, Ilse|1970-03-11||ucn=88AA1", "Ostrivane, Ilse|1970-03-11||ucn=99ZZ4", "two UCNs"),
        ("Ostrivane, Ilse|1970-03-11||a_number=777123", "Ostrivane, Wolfram|1970-03-11||a_number=777123", "twin"),
        ("Ostrivane Jr, Walter|1970-03-11", "Ostrivane Sr, Walter|1970-03-11", "Jr/Sr"),
        ("Ostrivane, Ilse|1970-03-11||sid@CT=12345", "Qabbani, Walid|1991-07-30||sid@CT=12345", "identifier agrees"),
    ],
)
def test_a_veto_caps_the_tier_and_hides_nothing(filed: str, asked: str, veto: str) -> None:
    found = find(filed, asked)
    assert found is not None
    assert found.identity.tier is Tier.POSSIBLE
    assert any(said.startswith(veto) for said in found.identity.vetoes)


def test_an_identifier_never_switches_the_name_search_off() -> None:
    index = ENGINE.new_index()
    index.put("by-sid", ENGINE.prepare(person("Qabbani, Walid|1991-07-30||sid@CT=12345")))
    index.put("by-name", ENGINE.prepare(person("Ostrivane, Ilse|1970-03-11")))
    asked = ENGINE.prepare(person("Ostrivane, Ilse|1970-03-11||sid@CT=12345"))
    assert {found.record_id for found in index.find(asked)} == {"by-sid", "by-name"}


def test_vietnamese_marks_of_sex_are_no_names() -> None:
    plain, marked = (ENGINE.prepare(Person(names=[PersonName(surname="Quocvinh", given="Lanphuong", middle=middle)]))
                     for middle in (None, "Thi"))  # fmt: skip
    assert plain == marked


def test_missing_is_not_disagreement() -> None:
    bare, full = find("Ostrivane, Ilse|1970-03-11", "Ostrivane, Ilse|1970-03-11"), find(
        "Ostrivane, Ilse|1970-03-11|F|ssn4=1234", "Ostrivane, Ilse|1970-03-11"
    )  # fmt: skip
    assert bare is not None
    assert full is not None
    assert bare.identity.probability == full.identity.probability
