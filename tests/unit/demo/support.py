"""A world taken through the services' own domain code in one process: what a run without faults would show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import Raw

from contracts.ids import episode_id
from contracts.types.conflict import Conflict, Review
from contracts.types.detainer import Detainer, DetainerCommand
from deploy.demo.outside import Arrival
from deploy.demo.world.generate import World
from services.ingest.domain.detainers import decide, id_of
from services.matcher.domain.episode import Fact
from services.matcher.domain.fold import evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.inputs import CustodyInput, DetainerInput
from services.matcher.domain.partition import PartitionState
from services.matcher.identity_model import load_model
from services.notifier.domain.planning import ENDING, plan

__all__ = ["NOW", "Folded", "arrivals_of", "fold"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENGINE = WeighedEngine(load_model())


@dataclass
class Folded:
    """Every version, in order."""

    conflicts: list[Conflict] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)


def fold(world: World) -> Folded:
    ground = Ground(ENGINE)
    state = PartitionState(ground)
    current: dict[str, Detainer] = {}
    folded = Folded()
    for index, post in enumerate([*world.lodged, *world.stream]):
        body = post.body
        if isinstance(body, DetainerCommand):
            name = id_of(body)
            version = decide(body, current.get(name), NOW)
            assert version is not None, "every command changes something"
            current[name] = version
            ground.detainers.put(version, 0, index)
            out = evolve(state, DetainerInput(name), NOW)
        else:
            assert post.event_id is not None
            fact = Fact(post.source, post.event_id, NOW, body)
            out = evolve(state, CustodyInput(fact, episode_id(body.facility, body.booking_number)), NOW)
        folded.conflicts += out.conflicts
        folded.reviews += out.reviews
    return folded


def arrivals_of(conflicts: list[Conflict]) -> list[Arrival]:
    """A webhook for every version, but for an ending of which nothing was told before."""
    told: set[str] = set()
    arrivals: list[Arrival] = []
    for conflict in conflicts:
        if conflict.stage in ENDING and conflict.conflict_id not in told:
            continue
        told.add(conflict.conflict_id)
        (planned,) = plan([conflict]).tell
        arrivals.append(Arrival("webhook", 0.0, planned.notice_id, planned.recipient, True, Raw(planned.body)))
    return arrivals
