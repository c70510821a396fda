"""Invariants of the last stretch: from a conflict's versions to whoever is told of them (G4, G5, G6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from contracts.ids import notice_id
from contracts.types.conflict import Conflict, Stage
from tests.simulation.rows import Row, Tables
from tests.simulation.story import conflict_in_words
from tests.simulation.truth import Truth

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["told"]

Broken = tuple[str, str]
_GIVEN_UP_AFTER: Final = timedelta(days=8)
_ENDINGS: Final = (Stage.CLOSED, Stage.RETRACTED)


def told(world: World, conflicts: Mapping[str, Sequence[Conflict]], true: Truth) -> Iterator[Broken]:
    """What is broken of it."""
    tables = world.database.tables
    yield from _every_version_has_its_notice(tables, conflicts)
    yield from _one_delivery_each(tables)
    yield from _every_notice_came_or_is_reported(world, tables)
    yield from _every_receipt_is_in_the_ledger(world, tables)
    yield from _nothing_that_must_not_leave(world, tables, conflicts, true)
    yield from _all_who_heard_hear_of_the_end(world, tables, conflicts)


def _every_version_has_its_notice(tables: Tables, conflicts: Mapping[str, Sequence[Conflict]]) -> Iterator[Broken]:
    for versions in conflicts.values():
        for c in versions:
            notice = tables.notices.get(notice_id(c.conflict_id, c.version, c.detainer.agency))
            if notice is None:
                earlier = [v for v in versions if v.version < c.version]
                known = any(notice_id(v.conflict_id, v.version, v.detainer.agency) in tables.notices for v in earlier)
                if c.stage not in _ENDINGS or known:
                    yield "G4", f"{conflict_in_words(c)}: there is no notice of it"
                continue
            subscribed = [s for s in tables.subscriptions.values() if s["agency"] == c.detainer.agency]
            living = [s["subscription_id"] for s in subscribed if s["status"] == "active"]
            own = {d["subscription_id"] for d in tables.deliveries.values() if d["notice_id"] == notice["notice_id"]}
            if c is versions[-1] and c.stage not in _ENDINGS and not own >= set(living):
                yield "G4", f"{conflict_in_words(c)}: goes to {sorted(own)}, and {living} are subscribed"


def _one_delivery_each(tables: Tables) -> Iterator[Broken]:
    each = Counter((d["notice_id"], d["subscription_id"]) for d in tables.deliveries.values())
    for (notice, subscription), number in each.items():
        if number > 1:
            yield "G4", f"{notice[:8]} has {number} deliveries to {subscription}"


def _every_notice_came_or_is_reported(world: World, tables: Tables) -> Iterator[Broken]:
    came = Counter((r.target, r.notice_id) for r in world.receiver.receipts)
    reported = {(row["event_id"].split(".")[0], row["outcome"]) for row in tables.outbox}
    for d in tables.deliveries.values():
        subscription = tables.subscriptions[d["subscription_id"]]
        name = f"{d['notice_id'][:8]} to {subscription['target']}"
        delivered = came[subscription["target"], d["notice_id"]]
        if d["status"] == "pending":
            # Where an endpoint is gone (410), what is left for it waits until it is too old.
            if subscription["status"] == "active" or world.now() - d["created_at"] > _GIVEN_UP_AFTER:
                yield "G4", f"{name}: still waits"
        elif d["status"] == "delivered" and not delivered:
            yield "G4", f"{name}: is delivered by the ledger, and never came"
        elif d["status"] == "delivered" and (d["delivery_id"], "delivered") not in reported:
            yield "G4", f"{name}: is delivered, and not reported"
        elif d["status"] == "failed" and not {(d["delivery_id"], o) for o in ("failed", "expired")} & reported:
            yield "G4", f"{name}: is given up, and not reported"


def _every_receipt_is_in_the_ledger(world: World, tables: Tables) -> Iterator[Broken]:
    """What came twice, or came and is not known to have, has an attempt on record each time."""
    attempts: Counter[tuple[str, str]] = Counter()
    for delivery, _ in tables.attempts:
        d = tables.deliveries.get(delivery)
        if d is not None:
            attempts[tables.subscriptions[d["subscription_id"]]["target"], d["notice_id"]] += 1
    for (target, notice), count in Counter((r.target, r.notice_id) for r in world.receiver.receipts).items():
        if count > attempts[target, notice]:
            yield (
                "G4",
                f"{notice[:8]} came to {target} {count} times; the ledger has {attempts[target, notice]} attempts",
            )


def _nothing_that_must_not_leave(
    world: World, tables: Tables, conflicts: Mapping[str, Sequence[Conflict]], true: Truth
) -> Iterator[Broken]:
    pairs = {
        c.conflict_id: (c.detainer.detainer_id, c.episode.episode_id)
        for versions in conflicts.values()
        for c in versions
    }
    for receipt in world.receiver.receipts:
        notice = tables.notices.get(receipt.notice_id)
        if notice is None:
            yield "G4", f"{receipt.notice_id[:8]} came to {receipt.target}; the ledger does not know it"
        elif notice["stage"] != Stage.RETRACTED and not true.ever_notifiable(pairs[notice["conflict_id"]]):
            yield "G5", f"{receipt.notice_id[:8]} ({notice['stage']}) came to {receipt.target}, who was not to be told"


def _all_who_heard_hear_of_the_end(
    world: World, tables: Tables, conflicts: Mapping[str, Sequence[Conflict]]
) -> Iterator[Broken]:
    heard: dict[tuple[str, str], set[int]] = defaultdict(set)
    for receipt in world.receiver.receipts:
        notice = tables.notices.get(receipt.notice_id)
        if notice is not None:
            heard[notice["conflict_id"], receipt.target].add(notice["version"])
    by_target: dict[str, Row] = {s["target"]: s for s in tables.subscriptions.values()}
    for (conflict, target), versions in sorted(heard.items()):
        last = conflicts[conflict][-1]
        missing = last.stage in _ENDINGS and last.version not in versions
        if missing and by_target[target]["status"] == "active":
            yield "G6", f"{target} heard of versions {sorted(versions)}, and not of {conflict_in_words(last)}"
