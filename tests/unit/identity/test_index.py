"""The index: changes seen at once, answers that depend on the records alone, snapshots."""

from __future__ import annotations

from random import Random

import pytest

from contracts.types.common import Tier
from services.matcher.domain.identity.keys import CAP
from services.matcher.domain.identity.model import decode, encode
from services.matcher.domain.identity.normalise import Prepared
from services.matcher.domain.identity.verdict import judge
from services.matcher.domain.identity.weighed import WeighedEngine, WeighedIndex
from services.matcher.identity_model import load_model
from tests.unit.identity.test_cases import CASES, person

ENGINE = WeighedEngine(load_model())


def _people(count: int, seed: int) -> dict[str, Prepared]:
    rng = Random(seed)
    syllables = ["ka", "ro", "mi", "ten", "vul", "sha", "dor", "el"]
    made = {}
    for number in range(count):
        surname, given = ("".join(rng.choices(syllables, k=2)) for _ in range(2))
        born = f"19{rng.randint(60, 63)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        made[f"r{number}"] = ENGINE.prepare(person(f"{surname}, {given}|{born}||ssn4={rng.randint(1000, 1020)}"))
    return made


def _filled(people: dict[str, Prepared]) -> WeighedIndex:
    index = ENGINE.new_index()
    for record_id, someone in people.items():
        index.put(record_id, someone)
    return index


def test_the_order_of_records_and_churn_change_no_answer() -> None:
    people = _people(300, 1)
    plain = _filled(people)
    shuffled = list(people.items())
    Random(2).shuffle(shuffled)
    churned = _filled(_people(400, 3))
    for record_id, someone in shuffled:
        churned.put(record_id, someone)
    for number in range(300, 400):
        churned.remove(f"r{number}")
    assert len(churned) == len(plain) == 300
    for someone in people.values():
        assert churned.find(someone) == plain.find(someone)


def test_add_replace_and_remove_are_seen_at_once() -> None:
    index = ENGINE.new_index()
    first, second = (ENGINE.prepare(person(f"Ostrivane, {given}|1970-03-11")) for given in ("Ilse", "Wolfram"))
    index.put("a", first)
    assert [found.record_id for found in index.find(first)] == ["a"]
    index.put("a", second)
    assert index.find(second)[0].identity.vetoes == []
    index.remove("a")
    index.remove("never there")
    assert index.find(first) == index.find(second) == []
    assert len(index) == 0


def test_a_snapshot_answers_as_the_index_did() -> None:
    people = _people(200, 5)
    index, loaded = _filled(people), ENGINE.new_index()
    loaded.load(index.save())
    assert loaded.save() == index.save()
    for someone in people.values():
        assert loaded.find(someone) == index.find(someone)


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="snapshot version"):
        ENGINE.new_index().load(ENGINE.new_index().save().replace(b"\x01", b"\x63", 1))


def test_a_cut_in_the_name_only_pass_is_told() -> None:
    index = _filled({f"r{n:05}": ENGINE.prepare(person("Smith, John")) for n in range(CAP + 1)})
    asked = ENGINE.prepare(person("Smith, John|1970-03-11"))
    passes, truncated = index.block(asked)
    assert truncated
    assert passes == {}


def test_a_model_is_its_file_and_its_hash_follows_every_parameter() -> None:
    model = load_model()
    assert decode(encode(model)) == model
    other = decode(encode(model).replace(b"-20.0", b"-21.0"))
    assert other.digest != model.digest


def test_a_model_without_a_level_is_refused() -> None:
    with pytest.raises(ValueError, match="sex"):
        decode(encode(load_model()).replace(b'"sex"', b'"sexes"'))


def test_what_is_given_up_early_would_have_been_none() -> None:
    people = list(_people(150, 8).values())
    bare = [Prepared(names=someone.names, births=someone.births) for someone in people]
    model = load_model()
    early = 0
    for one in [*bare, *people]:
        for other in [*bare, *people]:
            whole = judge(one, other, model, hopeless=False)
            verdict = judge(one, other, model)
            assert whole is not None
            if verdict is None:
                early += 1
                assert whole[0].tier is Tier.NONE
            else:
                assert verdict == whole
    assert early > 1000


def test_the_bound_changes_no_answer() -> None:
    people = _people(400, 9)
    bare = {key: Prepared(names=p.names, births=p.births) for key, p in people.items()}
    cases = [tuple(ENGINE.prepare(person(text)) for text in case[1:3]) for case in CASES]
    for records in (people, bare, {f"c{n}": filed for n, (filed, _) in enumerate(cases)}):
        index = _filled(records)
        for asked in [*people.values(), *bare.values(), *(asked for _, asked in cases)]:
            assert index.find(asked) == index.find(asked, bounded=False)
