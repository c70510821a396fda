"""What an agency is told of a conflict version, and whether it is told at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from contracts.ids import notice_id
from contracts.types.common import Tier
from contracts.types.conflict import Conflict, Stage
from contracts.types.notice import Notice, NoticeData

__all__ = ["ENDING", "Plan", "Planned", "advice_for", "plan", "urgency_of"]

ENDING: Final = frozenset({Stage.CLOSED, Stage.RETRACTED})
"""Stages that take back or conclude: told to whom an earlier version was, or may have been, told (G6)."""

_NOTIFIABLE: Final = frozenset({Tier.CONFIRMED, Tier.PROBABLE})
_URGENCY: Final = {
    Stage.RELEASED: 0,
    Stage.RELEASED_BEFORE_DETAINER: 0,
    Stage.RETRACTED: 1,
    Stage.RELEASE_SCHEDULED: 1,
    Stage.HOLD_EXPIRED: 1,
    Stage.TRANSFERRED: 2,
    Stage.CLOSED: 3,
    Stage.IN_CUSTODY: 4,
}
_PROMPT: Final = "A prompt to check, not a ground to hold anybody."
_UNSURE: Final = f"Identity not confirmed, verify before acting. {_PROMPT}"

_encoder = msgspec.json.Encoder()


class Planned(Struct, frozen=True):
    """A notice as it will stand in the ledger. body: the webhook's JSON, the same at every attempt.

    urgency: lower goes first.
    """

    notice_id: str
    conflict: Conflict
    recipient: str
    urgency: int
    body: bytes


class Plan(Struct, frozen=True):
    """tell: each conflict's newest version of the batch. passed: older versions that it overtook before anyone could
    be told. Both in the order in which they came."""

    tell: list[Planned]
    passed: list[Planned]


def urgency_of(stage: Stage) -> int:
    """0 for a person who is out, 4 for one who is merely in custody."""
    return _URGENCY[stage]


def advice_for(conflict: Conflict) -> str:
    """What every notice says: what it is good for, and how sure the identity is."""
    return _PROMPT if conflict.identity.tier is Tier.CONFIRMED else _UNSURE


def plan(conflicts: Sequence[Conflict]) -> Plan:
    """The notices of a batch of conflict versions. A version whose identity is not good enough leaves nothing behind:
    the matcher publishes none, and this is the second lock (G5)."""
    newest: dict[str, int] = {}
    for conflict in conflicts:
        newest[conflict.conflict_id] = max(conflict.version, newest.get(conflict.conflict_id, 0))
    tell: list[Planned] = []
    passed: list[Planned] = []
    for conflict in conflicts:
        # A retraction names the identity that was lost, so it is let through: it only takes back.
        if conflict.identity.tier not in _NOTIFIABLE and conflict.stage is not Stage.RETRACTED:
            continue
        (tell if newest[conflict.conflict_id] == conflict.version else passed).append(_planned(conflict))
    return Plan(tell, passed)


def _planned(conflict: Conflict) -> Planned:
    recipient = conflict.detainer.agency
    name = notice_id(conflict.conflict_id, conflict.version, recipient)
    notice = Notice(
        type=f"notice.{conflict.stage}",
        timestamp=conflict.decided_at,
        data=NoticeData(
            notice_id=name,
            conflict_id=conflict.conflict_id,
            version=conflict.version,
            stage=conflict.stage,
            previous_stage=conflict.previous_stage,
            recipient=recipient,
            detainer=conflict.detainer,
            episode=conflict.episode,
            identity=conflict.identity,
            release=conflict.release,
            retraction=conflict.retraction,
            advice=advice_for(conflict),
            decided_at=conflict.decided_at,
        ),
    )
    return Planned(name, conflict, recipient, urgency_of(conflict.stage), _encoder.encode(notice))
