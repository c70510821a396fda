"""What has to be true once all is quiet. Each broken one is said with what was expected and what was seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from contracts.ids import conflict_id
from contracts.types.common import Tier
from contracts.types.conflict import Conflict, Decision, Review, ReviewDecision, ReviewStatus, Stage
from contracts.types.custody import Died, Released, Returned, Transferred, Voided
from contracts.types.detainer import Detainer, DetainerType
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Person
from contracts.types.reject import Reject
from services.ingest.domain.detainers import id_of
from tests.simulation.bursts import stopped_in_time
from tests.simulation.history import same_person
from tests.simulation.matcher import CUSTODY_TOPIC
from tests.simulation.story import conflict_in_words
from tests.simulation.telling import told
from tests.simulation.topics import accepted, conflicts_of, decoded, entries_of, facts_of, said_of
from tests.simulation.truth import Expected, Pair, Truth, truth
from tests.simulation.truth_episode import stopped_by

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Broken", "check", "truth_of"]

Broken = tuple[str, str]
"""Which invariant, and expected against seen."""
_NOTIFIABLE: Final = (Tier.CONFIRMED, Tier.PROBABLE)


def check(world: World) -> list[Broken]:
    """All that is broken, the invariant first."""
    found: list[Broken] = []
    found += [("G0", f"{who} let out {error!r}") for who, error in world.failures]
    found += [("G0", f"the model is broken: {error!r}") for error in world.broker.broken]
    found += [("G0", f"never quiet: {what}") for what in world.unquiet]
    found += _nothing_lost(world)
    found += _versions(world)
    found += [("G0", f"the model is broken: {error!r}") for error in world.database.broken]
    true = truth_of(world)
    found += _finals(world, true)
    found += stopped_in_time(world)
    found += _never_to_be_told(world, true)
    found += told(world, conflicts_of(world), true)
    return found


def truth_of(world: World) -> Truth:
    """What the naive model makes of all that was accepted."""
    return truth(
        list(facts_of(world)),
        decoded(world, "detainers.v1", Detainer),
        _decided(world),
        decoded(world, "breakers.v1", Breaker),
        same_person=same_person,
        now=world.now(),
        zones=world.history.zones,
        evidence_of=_evidence_of,
    )


def _decided(world: World) -> Iterator[ReviewDecision]:
    """Every decision, with the evidence that its reviewer was shown in place of what the matcher calls it."""
    shown = {(r.review_id, r.version): r for r in decoded(world, "reviews.v1", Review)}
    for decision in decoded(world, "review.decisions.v1", ReviewDecision):
        review = shown[decision.review_id, decision.version]
        evidence = _evidence(review.detainer.type, review.detainer_side.person, review.custody_side.person)
        yield msgspec.structs.replace(decision, evidence_id=evidence)


def _evidence_of(detainer: Detainer, _episode: str, held: Person) -> str:
    return _evidence(detainer.type, detainer.person, held)


def _evidence(kind: DetainerType, wanted: Person, held: Person) -> str:
    """What there is to be seen of two people of a history: how sure it is by design, whether rule 21 applies, and the
    identifiers that both have one of. Names and birth dates in common are always the whole ones here."""
    claimed = kind is DetainerType.IMMIGRATION and (wanted.us_citizenship_claimed or held.us_citizenship_claimed)
    sides = [{(i.kind.value, i.issuer or "", i.value) for i in person.identifiers} for person in (wanted, held)]
    common = {i[:2] for i in sides[0]} & {i[:2] for i in sides[1]}
    compared = [sorted(i for i in side if i[:2] in common) for side in sides]
    return f"{same_person(held, wanted)} {bool(claimed)} {compared}"


# -- G1 ----------------------------------------------------------------------------------------------------------------


def _nothing_lost(world: World) -> Iterator[Broken]:
    """Every input that a sender was told is taken is on its topic; every one on its topic is in the state, or kept."""
    rejects = {r.reject_id: r for r in decoded(world, "rejects.v1", Reject)}
    there = Counter((f.source, f.event_id) for f in accepted(world).values())
    for send in world.answers.taken:
        if send.custody is not None and not there[send.source, send.event_id]:
            yield "G1", f"{send.note} was taken (202), and is not on {CUSTODY_TOPIC}"
    versions = {(d.detainer_id, d.occurred_at) for d in decoded(world, "detainers.v1", Detainer)}
    for send in world.answers.taken:
        command = send.command
        if command is not None and (id_of(command), command.occurred_at) not in versions:
            yield "G1", f"{send.note} was taken (202), and is not on detainers.v1"
    for send in world.answers.refused:
        if send.source not in {r.source for r in rejects.values()}:
            yield "G1", f"{send.note} was refused (422), and is not in rejects.v1"
    kept = _facts_in_state(world)
    for fact in facts_of(world):
        name = (fact.episode_id, fact.source, fact.event_id)
        if kept.get(name) is None and f"{fact.source}/{fact.event_id}" not in kept:
            yield (
                "G1",
                f"{fact.event_id} of {fact.source} is accepted, and not in the state of {fact.event.booking_number}",
            )
    for topic, partition, offset, raw in world.faults.poisoned:
        source = f"{topic}/{partition}/{offset}"
        if not any(r.source == source and r.raw == raw for r in rejects.values()):
            yield "G1", f"the rubbish at {source} is not in rejects.v1"
    yield from _refused(world)


def _refused(world: World) -> Iterator[Broken]:
    """What the matcher refuses is kept with its bytes, once; and no end of custody is, nor what takes one back."""
    entries = entries_of(world, CUSTODY_TOPIC)
    kept: dict[str, list[bytes]] = defaultdict(list)
    for reject in decoded(world, "rejects.v1", Reject):
        kept[reject.source].append(reject.raw)
    for source in sorted(kept.keys() & entries.keys()):
        if kept[source] != [entries[source].value or b""]:
            yield "G3", f"{source} is in rejects.v1 {len(kept[source])} times, or not with its bytes"
        said = said_of(entries[source])
        if said is not None and isinstance(said.event, Released | Transferred | Died | Returned | Voided):
            yield "G1", f"{said.event_id} of {said.source} is refused, and there was room for it"


def _facts_in_state(world: World) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for partition in range(world.broker.partitions["custody.state.v1"]):
        newest: dict[bytes | None, bytes | None] = {}
        for entry in world.broker.logs["custody.state.v1", partition].read(0, 1 << 60)[0]:
            newest[entry.key] = entry.value
        for key, value in newest.items():
            if key and key.startswith(b"epi_") and value is not None:
                record = msgspec.json.decode(value)
                for fact in record.get("facts", ()):
                    found[key.decode(), fact["source"], fact["event_id"]] = fact
    return found


# -- G3 ----------------------------------------------------------------------------------------------------------------


def _versions(world: World) -> Iterator[Broken]:
    """Versions 1, 2, … n, each once and in order, and no two alike in a row; reviews too."""
    for name, versions in conflicts_of(world).items():
        numbers = [c.version for c in versions]
        if numbers != list(range(1, len(numbers) + 1)):
            yield "G3", f"{name[:8]} has the versions {numbers}: {'; '.join(map(conflict_in_words, versions))}"
        for one, next_one in pairwise(versions):
            if _said_by(one) == _said_by(next_one):
                yield "G3", f"{conflict_in_words(next_one)}: says what the version before it said"
    reviews: dict[str, list[Review]] = defaultdict(list)
    for review in decoded(world, "reviews.v1", Review):
        reviews[review.review_id].append(review)
    for name, opened in reviews.items():
        numbers = [r.version for r in opened]
        if numbers != list(range(1, len(numbers) + 1)):
            yield "G3", f"review {name[:8]} has the versions {numbers}"


def _said_by(c: Conflict) -> tuple[Any, ...]:
    escaped = c.episode.custody_status == "escaped"
    told = (c.stage, c.release, c.retraction, c.closed_because, c.alerts, c.hold_until, c.custody_assumed_at)
    sure = None if c.stage in (Stage.CLOSED, Stage.RETRACTED) else (c.identity.tier, c.identity.reviewed)
    return (*told, escaped, sure)


# -- G2 ----------------------------------------------------------------------------------------------------------------


def _finals(world: World, true: Truth) -> Iterator[Broken]:
    """What is said last of every pair is what all facts come to."""
    last = {name: versions[-1] for name, versions in conflicts_of(world).items()}
    seen: dict[Pair, Conflict] = {
        (c.detainer.detainer_id, c.episode.episode_id): c for c in last.values() if c.stage is not Stage.RETRACTED
    }
    for pair in sorted(true.lost & seen.keys()):
        yield (
            "G6",
            f"{conflict_in_words(seen[pair])}: stands, and is to be taken back ({true.gone.get(pair, 'review')})",
        )
    held = true.withheld | _held_back(world, {*true.conflicts, *seen, *true.reviews})
    for pair in sorted({*true.conflicts, *seen} - held):
        wanted, got = true.conflicts.get(pair), seen.get(pair)
        if wanted is None:
            assert got is not None
            yield "G2", f"expected nothing ({true.gone.get(pair, 'never')}), seen {conflict_in_words(got)}"
        elif got is None:
            name = conflict_id(*pair)
            was = conflict_in_words(last[name]) if name in last else f"nothing of {name[:8]}"
            yield "G2", f"expected {wanted}, seen {was}"
        elif differs := _differences(wanted, got):
            yield "G2", f"{conflict_in_words(got)}: {differs}"
    newest: dict[str, Review] = {r.review_id: r for r in decoded(world, "reviews.v1", Review)}
    waiting = {
        (r.detainer.detainer_id, r.custody_side.record): r.stage
        for r in newest.values()
        if r.status is ReviewStatus.OPEN
    }
    held |= _held_back(world, set(waiting))
    for pair in sorted({*true.reviews, *waiting} - held):
        if true.reviews.get(pair) != waiting.get(pair):
            yield "G2", f"review of {pair}: expected {true.reviews.get(pair)}, seen {waiting.get(pair)}"


def _held_back(world: World, pairs: set[Pair]) -> set[Pair]:
    """Pairs whose episode has a release that waits for the operator: what was said last depends on the order there."""
    tripped = [b for b in _newest(decoded(world, "breakers.v1", Breaker)) if b.state is BreakerState.TRIPPED]
    stopped = {f.episode_id for f in facts_of(world) if any(stopped_by(b, f) for b in tripped)}
    return {pair for pair in pairs if pair[1] in stopped}


def _newest(breakers: list[Breaker]) -> list[Breaker]:
    """Each as the operator left it."""
    return list({b.breaker_id: b for b in sorted(breakers, key=lambda b: b.decided_at or b.tripped_at)}.values())


def _differences(wanted: Expected, got: Conflict) -> str:
    release = got.release
    pairs: dict[str, tuple[Any, Any]] = {
        "stage": (wanted.stage, got.stage),
        "closed_because": (wanted.closed_because, got.closed_because),
        "alerts": (wanted.alerts, frozenset(got.alerts)),
        "hold_until": (wanted.hold_until, got.hold_until),
    }
    if got.stage is not Stage.CLOSED:  # which is told with the tier of its time
        pairs["tier"] = (wanted.tier, got.identity.tier)
        pairs["escaped"] = (wanted.escaped, got.episode.custody_status == "escaped")
        for name in ("scheduled_for", "released_at", "reason", "released_to", "to_facility"):
            pairs[name] = (getattr(wanted, name), getattr(release, name, None))
        for name in ("inferred", "inferred_stands"):
            pairs[name] = (getattr(wanted, name), getattr(release, name, False))
    return "; ".join(f"{name}: expected {w}, seen {g}" for name, (w, g) in pairs.items() if w != g)


# -- G5 ----------------------------------------------------------------------------------------------------------------


def _never_to_be_told(world: World, true: Truth) -> Iterator[Broken]:
    for versions in conflicts_of(world).values():
        for c in versions:
            sure = c.identity.tier in _NOTIFIABLE and c.identity.reviewed is not Decision.REJECT
            pair = (c.detainer.detainer_id, c.episode.episode_id)
            if c.stage is not Stage.RETRACTED and not (sure and true.ever_notifiable(pair)):
                yield "G5", f"{conflict_in_words(c)}: is told, and was at no time to be told"
