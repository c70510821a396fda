"""The index: changes seen at once, answers that depend on the records alone, snapshots, bounds that are safe."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from services.matcher.domain.identity import bulk, postings, weighed
from services.matcher.domain.identity.bound import Bound
from services.matcher.domain.identity.ceilings import Ceilings
from services.matcher.domain.identity.compare import compare
from services.matcher.domain.identity.keys import IDENTIFIER, PASSES, SAME_NAME, filed_under, record_key
from services.matcher.domain.identity.normalise import Prepared
from services.matcher.domain.identity.postings import entries
from services.matcher.domain.identity.records import Records
from services.matcher.domain.identity.snapshot import LAYOUT, SnapshotError
from services.matcher.domain.identity.vocabulary import Vocabulary
from services.matcher.domain.identity.weighed import WeighedEngine, WeighedIndex
from services.matcher.identity_model import load_model
from tests.unit.identity.test_cases import CASES, person

ENGINE = WeighedEngine(load_model())
SYLLABLES = ("ka", "ro", "mi", "ten", "vul", "sha", "dor", "el")


def anyone(rng: Random) -> Prepared:
    """Somebody of a small town: few names and dates, so that people are easily mistaken for one another."""

    def word() -> str:
        return "".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3))))

    def name() -> str:
        surname = word() if rng.random() < 0.8 else f"{word()} {word()}"
        given = rng.choice((word(), word(), word()[0], f"{word()} {word()}", ""))
        return f"{surname} jr, {given}" if rng.random() < 0.1 else f"{surname}, {given}"

    def date() -> str:
        whole = f"19{rng.randint(60, 63)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return whole[: rng.choice((4, 7, 10, 10, 10, 10, 10, 10))]

    names = ";".join(name() for _ in range(rng.choice((1, 1, 1, 1, 2, 3))))
    dates = " ".join(date() for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))))
    ids = [
        f"ssn4={rng.randint(1000, 1040)}",
        f"sid@CT={rng.randint(1, 400)}",
        f"ucn={rng.randint(1, 400)}AA",
        f"a_number={rng.randint(1, 400)}",
    ]
    some = " ".join(rng.sample(ids, rng.choice((0, 0, 1, 1, 2))) + ["ssn4=1000", "ssn4=0020"] * (rng.random() < 0.03))
    return ENGINE.prepare(person(f"{names}|{dates}|{rng.choice(('M', 'F', ''))}|{some}"))


def town(count: int, seed: int) -> dict[str, Prepared]:
    rng = Random(seed)
    return {f"r{number}": anyone(rng) for number in range(count)}


def filled(people: dict[str, Prepared]) -> WeighedIndex:
    index = ENGINE.new_index()
    for record_id, someone in people.items():
        index.put(record_id, someone)
    return index


def built(people: dict[str, Prepared]) -> WeighedIndex:
    index = ENGINE.new_index()
    index.build(people.items())
    return index


def saved(index: WeighedIndex) -> bytes:
    pieces: list[bytes] = []
    index.save(pieces.append)
    return b"".join(pieces)


def test_the_order_of_records_and_churn_change_no_answer() -> None:
    people = town(600, 1)
    plain = filled(people)
    shuffled = list(people.items())
    Random(2).shuffle(shuffled)
    churned = filled(town(800, 3))
    for record_id, someone in shuffled:
        churned.put(record_id, someone)
    for number in range(600, 800):
        churned.remove(f"r{number}")
    assert len(churned) == len(plain) == 600
    assert sum(len(plain.find(someone)) for someone in people.values()) > 600
    for someone in people.values():
        assert churned.find(someone) == plain.find(someone)


def test_a_long_life_of_changes_ends_as_a_fresh_index_and_gives_numbers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "_FRESH", 64)
    monkeypatch.setattr(postings, "_STEP", 48)
    monkeypatch.setattr(postings, "_LARGE", 100)
    monkeypatch.setattr(weighed, "_PURGE_BEYOND", 40)
    rng = Random(11)
    index = ENGINE.new_index()
    there: dict[str, Prepared] = {}
    for step in range(6000):
        record_id = f"r{rng.randrange(300)}"
        if rng.random() < 0.4:
            index.remove(record_id)
            there.pop(record_id, None)
        else:
            there[record_id] = anyone(rng)
            index.put(record_id, there[record_id])
        assert len(index) == len(there)
        if step % 500 == 499:
            fresh = built(there)
            for someone in rng.sample(sorted(there), 40):
                assert index.find(there[someone]) == fresh.find(there[someone])
    # 300 live at most, a second name each; the rest are waiting for a sweep
    assert index.numbers_used < 2500


@pytest.mark.parametrize("step", [48, 150, 250, 400, 900])
def test_replacing_for_ever_uses_no_more_numbers(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(postings, "_FRESH", 64)
    monkeypatch.setattr(postings, "_STEP", step)
    monkeypatch.setattr(weighed, "_PURGE_BEYOND", 40)
    rng = Random(12)
    index = filled(town(50, 13))
    for _ in range(4000):
        index.put(f"r{rng.randrange(50)}", anyone(rng))
    # 50 live, with a second name each at most; as many and forty more wait for a sweep, and again while one goes on
    assert index.numbers_used < 400


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


@pytest.mark.parametrize("chunk", [7, 100_000])
def test_a_build_files_what_single_puts_file(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(bulk, "_CHUNK", chunk)
    people = town(500, 4)
    vocabulary = Vocabulary()
    single, many = Records(vocabulary), Records(vocabulary)
    numbers = {record_id: single.put(record_id, someone) for record_id, someone in people.items()}
    expected = [
        entries(np.array([*filed_under(someone), record_key(key)], np.uint64), np.array(numbers[key]))
        for key, someone in people.items()
    ]
    assert np.array_equal(np.unique(np.concatenate(expected)), bulk.file_all(many, vocabulary, people.items()))
    assert all(np.array_equal(a, b) for a, b in zip(single.columns(), many.columns(), strict=True))


def test_a_built_index_answers_as_a_filled_one_and_can_be_changed() -> None:
    people = town(300, 5)
    one, other = filled(people), built(people)
    for index in (one, other):
        index.remove("r7")
        index.put("r8", people["r9"])
    for someone in people.values():
        assert other.find(someone) == one.find(someone)
    with pytest.raises(ValueError, match="empty"):
        other.build(people.items())


def test_a_snapshot_answers_as_the_index_did() -> None:
    people = town(300, 5)
    index = filled(people)
    for number in range(0, 300, 7):
        index.remove(f"r{number}")
    raw = saved(index)
    other_engine = WeighedEngine(load_model())  # whose vocabulary has other numbers
    loaded = other_engine.new_index()
    loaded.put("in the way", people["r1"])
    loaded.load(raw)
    assert len(loaded) == len(index)
    for someone in people.values():
        assert loaded.find(someone) == index.find(someone)
    loaded.put("new", people["r1"])
    index.put("new", people["r1"])
    assert loaded.find(people["r1"]) == index.find(people["r1"])


def test_a_snapshot_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    index = filled(town(20, 6))
    raw = saved(index)
    layout = raw.replace(b"\xa6layout" + bytes([LAYOUT]), b"\xa6layout\x63", 1)
    assert layout != raw
    for broken in (layout, raw[:-1], raw + b"x", b"garbage", b"", raw.replace(b"\xa6tokens", b"\xa6takens", 1)):
        with pytest.raises(SnapshotError):
            index.load(broken)
    assert len(index) == 20


def test_people_of_one_name_who_were_left_out_are_told() -> None:
    cap = next(kind.cap for kind in PASSES if kind.name == SAME_NAME)
    index = filled({f"r{n:05}": ENGINE.prepare(person("Smith, John")) for n in range(cap + 1)})
    asked = ENGINE.prepare(person("Smith, John|1970-03-11"))
    assert index.block(asked) == ({}, True)
    index.remove("r00000")
    passes, truncated = index.block(asked)
    assert not truncated
    assert len(passes) == cap


def test_the_bound_changes_no_answer() -> None:
    people = town(700, 9)
    bare = {key: Prepared(names=p.names, births=p.births) for key, p in people.items()}
    cases = [tuple(ENGINE.prepare(person(text)) for text in case[1:3]) for case in CASES]
    for records in (people, bare, {f"c{n}": filed for n, (filed, _) in enumerate(cases)}):
        index = built(records)
        for asked in [*people.values(), *bare.values(), *(asked for _, asked in cases)]:
            assert index.find(asked) == index.find(asked, bounded=False)


def test_no_pair_weighs_more_than_its_ceiling() -> None:
    model, vocabulary = load_model(), Vocabulary()
    records = Records(vocabulary)
    people = [*town(400, 12).values(), *(ENGINE.prepare(person(text)) for case in CASES for text in case[1:3])]
    numbers = np.array([records.put(f"r{n}", someone) for n, someone in enumerate(people)])
    ceilings = Ceilings(model)
    for asked in people[::3]:
        bound = Bound(asked, ceilings, vocabulary)
        kept, most = bound.survivors(records, numbers, -1e9)
        assert np.array_equal(kept, numbers)
        agreeing = set(filed_under(asked))
        for someone, ceiling in zip(people, most.tolist(), strict=True):
            if any(kind is IDENTIFIER for key, kind in filed_under(someone).items() if key in agreeing):
                continue  # found by the identifier, and weighed whatever the ceiling is
            weights = compare(asked, someone, model)
            without = sum(w.bits for w in weights if w.field not in ("sid", "ucn"))
            assert max(without, sum(w.bits for w in weights)) <= ceiling + bound.slips(someone), (asked, someone)


def test_indexes_that_share_a_vocabulary_may_grow_in_threads() -> None:
    vocabulary = Vocabulary()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        words = [[f"W{n % 700}X{n % 3 and worker}" for n in range(4000)] for worker in range(4)]

        def add(mine: list[str]) -> None:
            for word in mine:
                assert vocabulary.tokens[vocabulary.number(word)] == word
                assert len(vocabulary.initials()) > 1

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, words))
    finally:
        sys.setswitchinterval(before)
    every = {word for mine in words for word in mine}
    assert len(vocabulary) == len(every) + 1 == len(vocabulary.initials())
    assert {vocabulary.number(word) for word in every} == set(range(1, len(every) + 1))
