"""What is on the topics of a history, as a committed reader sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from contracts.cloudevents import decode_headers
from contracts.types.conflict import Conflict
from contracts.types.custody import CustodyEvent
from contracts.types.reject import Reject
from services.matcher.domain.fold import EPISODE_TOO_LARGE
from tests.simulation.kafka import Entry
from tests.simulation.matcher import CUSTODY_TOPIC
from tests.simulation.truth import Said

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["accepted", "conflicts_of", "decoded", "entries_of", "facts_of", "said_of"]

_event: Final = msgspec.json.Decoder(CustodyEvent).decode


def decoded(world: World, topic: str, kind: Any) -> list[Any]:
    """Every record that can be read, in the order of its partition."""
    found = []
    for entry in world.broker.entries(topic):
        try:
            found.append(msgspec.json.decode(entry.value or b"", type=kind))
        except (msgspec.DecodeError, ValueError):
            continue
    return found


def conflicts_of(world: World) -> dict[str, list[Conflict]]:
    """Conflict id -> its versions."""
    found: dict[str, list[Conflict]] = defaultdict(list)
    for conflict in decoded(world, "conflicts.v1", Conflict):
        found[conflict.conflict_id].append(conflict)
    return found


def entries_of(world: World, topic: str) -> dict[str, Entry]:
    """Topic, partition and offset, as rejects name them -> what is there."""
    return {
        f"{topic}/{partition}/{entry.offset}": entry
        for partition in range(world.broker.partitions[topic])
        for entry in world.broker.logs[topic, partition].read(0, 1 << 60)[0]
    }


def accepted(world: World) -> dict[str, Said]:
    """Where it is -> every custody event that can be read."""
    found = {where: said_of(entry) for where, entry in entries_of(world, CUSTODY_TOPIC).items()}
    return {where: said for where, said in found.items() if said is not None}


def facts_of(world: World) -> Iterator[Said]:
    """Those for which their episodes had room."""
    refused = {r.source for r in decoded(world, "rejects.v1", Reject) if r.code == EPISODE_TOO_LARGE}
    return (said for where, said in accepted(world).items() if where not in refused)


def said_of(entry: Entry) -> Said | None:
    """The custody event that a record carries; None where it cannot be read."""
    try:
        attributes = decode_headers(entry.headers)
        event = _event(entry.value or b"")
    except (msgspec.DecodeError, ValueError):
        return None
    said = Said(attributes.source, attributes.id, attributes.accepted_at, event)
    return said if entry.key == said.episode_id.encode() else None
