"""What is told of a conflict version, to whom, and whether it is told at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from contracts.ids import notice_id
from contracts.types.common import Tier
from contracts.types.conflict import Alert, Conflict, Decision, Stage
from contracts.types.notice import Notice, NoticeData

__all__ = ["ENDING", "Plan", "Planned", "advice_for", "is_alarm", "may_be_told", "plan", "urgency_of"]

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
_ALERT_URGENCY: Final = {Alert.OVER_DETENTION: 1, Alert.DETAINER_EXPIRES: 2}
_PROMPT: Final = "A prompt to check, not a ground to hold anybody."
_UNSURE: Final = f"Identity not confirmed, verify before acting. {_PROMPT}"
# What time alone has brought about, for the lodging agency and for the facility, the gravest first. With `_UNSURE` they
# stay within the 200 characters of `NoticeData.advice`.
_ALARMS: Final[tuple[tuple[Stage | Alert, str, str], ...]] = (
    (
        Stage.HOLD_EXPIRED,
        "The time of your hold has run out, and the person is still in custody.",
        "The time to hold for this detainer has run out: check whether any other ground to hold is left.",
    ),
    (
        Alert.OVER_DETENTION,
        "The scheduled release has passed, and the person is still in custody.",
        "The scheduled release has passed: check whether any ground to hold is left.",
    ),
    (
        Alert.DETAINER_EXPIRES,
        "Your detainer is about to lapse: check whether it still stands.",
        "This detainer is about to lapse, and then asks for nothing: check whether it still stands.",
    ),
)

_encoder = msgspec.json.Encoder()


class Planned(Struct, frozen=True):
    """A notice as it will stand in the ledger. body: the webhook's JSON, the same at every attempt.

    urgency: lower goes first; 0 says that somebody is out on whom the recipient has a detainer.
    follows: goes only where an earlier version went, or may have gone (G6).
    """

    notice_id: str
    conflict: Conflict
    recipient: str
    urgency: int
    body: bytes
    follows: bool


class Plan(Struct, frozen=True):
    """tell: each conflict's newest version of the batch. passed: older versions that it overtook before anyone could
    be told. facility: those of `tell` again, for the facility that holds the person; one that has never subscribed is
    told nothing. All in the order in which they came."""

    tell: list[Planned]
    passed: list[Planned]
    facility: list[Planned]


def urgency_of(conflict: Conflict) -> int:
    """0 for a person who is out, 4 for one who is merely in custody."""
    return min([_URGENCY[conflict.stage], *(_ALERT_URGENCY[alert] for alert in conflict.alerts)])


def is_alarm(conflict: Conflict) -> bool:
    """Whether the facility is told, too: the hold has run out, the scheduled release has passed, or the detainer is
    about to lapse (rules 15, 20)."""
    return conflict.stage is Stage.HOLD_EXPIRED or bool(conflict.alerts)


def may_be_told(conflict: Conflict) -> bool:
    """The second lock (G5); the matcher publishes nothing that it would hold back. A retraction passes: it names the
    identity that was lost, or rejected by a reviewer, and only takes back."""
    identity = conflict.identity
    told = identity.tier in _NOTIFIABLE and identity.reviewed is not Decision.REJECT
    return told or conflict.stage is Stage.RETRACTED


def advice_for(conflict: Conflict, *, facility: bool = False) -> str:
    """What the notice is good for, how sure the identity is, and what time has brought about.

    facility: for the facility that holds the person, rather than for the agency that lodged the detainer.
    """
    texts = [_PROMPT if conflict.identity.tier is Tier.CONFIRMED else _UNSURE]
    for alarm, for_agency, for_facility in _ALARMS:
        if conflict.stage is alarm or alarm in conflict.alerts:
            texts.insert(0, for_facility if facility else for_agency)
            break
    return " ".join(texts)


def plan(conflicts: Sequence[Conflict]) -> Plan:
    """The notices of a batch of conflict versions. A version that may not be told leaves nothing behind.

    The facility is told every alarm, and whatever comes after one: an alarm that is over is taken back from whom it
    reached (G6). Other versions are not its business. A sheriff who runs the jail is told once, as the agency.
    """
    newest: dict[str, int] = {}
    for conflict in conflicts:
        newest[conflict.conflict_id] = max(conflict.version, newest.get(conflict.conflict_id, 0))
    made = Plan([], [], [])
    for conflict in conflicts:
        if not may_be_told(conflict):
            continue
        agency, ending = conflict.detainer.agency, conflict.stage in ENDING
        if newest[conflict.conflict_id] != conflict.version:
            made.passed.append(_planned(conflict, agency, follows=ending))
            continue
        made.tell.append(_planned(conflict, agency, follows=ending))
        if conflict.episode.facility != agency:
            made.facility.append(
                _planned(conflict, conflict.episode.facility, follows=ending or not is_alarm(conflict))
            )
    return made


def _planned(conflict: Conflict, recipient: str, *, follows: bool) -> Planned:
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
            alerts=conflict.alerts,
            hold_until=conflict.hold_until,
            advice=advice_for(conflict, facility=recipient != conflict.detainer.agency),
            decided_at=conflict.decided_at,
        ),
    )
    # A release is urgent to the agency alone: the jail released, and nobody waits for its answer.
    urgency = urgency_of(conflict) if recipient == conflict.detainer.agency else max(1, urgency_of(conflict))
    return Planned(name, conflict, recipient, urgency, _encoder.encode(notice), follows)
