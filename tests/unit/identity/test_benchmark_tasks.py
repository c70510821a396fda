"""What the quality benchmark counts: true pairs of a task, dates as typed, groups of a search, calibration's parts."""

from __future__ import annotations

from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from tests.benchmark.identity.errors import Kind
from tests.benchmark.identity.groups import Group, markdown, missing
from tests.benchmark.identity.onfile import Copy, Verdicts
from tests.benchmark.identity.origins import Origin
from tests.benchmark.identity.records import Row, Task, digits


def row(record_id: str, entity: str) -> Row:
    return Row(record_id, entity, given="ANN", middle="", surname="LEE", birth="19900317", sex="F", number="")


def test_true_pairs_of_a_file_within_itself_and_of_two_files() -> None:
    rows = [row("a", "1"), row("b", "1"), row("c", "1"), row("d", "2")]
    assert Task("one file", rows, rows).truth == 3
    assert Task("two files", rows, [row("x", "1"), row("y", "2"), row("z", "3")]).truth == 4


def test_a_row_as_a_person() -> None:
    assert row("a", "1").person() == Person(
        names=[PersonName(surname="LEE", given="ANN")], birth_dates=["19900317"], sex=Sex.FEMALE
    )
    assert row("a", "1")._replace(given="", surname="", birth="", sex="").person() == Person()


def test_dates_of_both_files_read_alike_errors_and_all() -> None:
    assert digits("05/06/1994") == digits("19940506") == "19940506"
    assert digits("O5/06/1994") == "1994506"
    assert digits("") == digits("5/6") == ""


def test_a_search_is_counted_by_what_it_had_to_do_without() -> None:
    sid = Identifier(kind=IdentifierKind.SID, value="1", issuer="TX")
    original = Person(names=[PersonName(surname="LEE", given="ANN")], birth_dates=["1990-03-17"], identifiers=[sid])
    bare = Person(names=[PersonName(surname="LEE", given="A")])
    everything = {
        "no birth date",
        "no sex",
        "no identifier in the search",
        "no identifier in common",
        "no given name but an initial",
    }
    assert set(missing(Copy(1, Origin.CHINESE, original, bare, frozenset({Kind.INITIAL})))) == everything
    full = Copy(
        1,
        Origin.CHINESE,
        original,
        Person(names=original.names, birth_dates=["1990-03"], identifiers=[sid]),
        frozenset(),
    )
    assert set(missing(full)) == {"birth date without day", "no sex", "(nothing: a SID or UCN in common)"}


def test_groups_count_misses_and_mistakes() -> None:
    group = Group("surname origin", "chinese")
    for right, wrong in ((3, 0), (1, 1), (0, 2), (0, 0)):
        group.count(Verdicts(right, wrong, truncated=False))
    assert (group.people, group.missed, group.unlinked, group.wrong, group.wrong_probable) == (4, 2, 3, 2, 1)
    assert "| chinese | 4 | 50.00 (15.00-85.00) | 75.00 | 50.00 (15.00-85.00) | 1 |" in markdown([group])
