"""What a command does to a detainer. Pure: the version that stands and the command in, the next version out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from contracts.ids import detainer_id
from contracts.types.detainer import (
    Amend,
    CustodyAssumed,
    Decline,
    Detainer,
    DetainerCommand,
    DetainerState,
    Lift,
    Lodge,
    Supersede,
    Withdraw,
)
from services.ingest.domain.refusal import Refused
from services.ingest.domain.strict import StrictDecoder

__all__ = ["ENDED", "decide", "id_of", "read_command"]

ENDED: Final = frozenset(set(DetainerState) - {DetainerState.RECEIVED, DetainerState.ACTIVE})
"""States from which a detainer does not come back; the agency lodges a new one, under a reference of its own."""

_commands = StrictDecoder(DetainerCommand)
_encode: Final = msgspec.json.Encoder().encode


def read_command(raw: object) -> DetainerCommand:
    """One command from JSON. Raises Refused."""
    command: DetainerCommand = _commands.decode(raw)
    return command


def id_of(command: DetainerCommand) -> str:
    """The detainer that a command is about."""
    return detainer_id(command.agency, command.agency_reference)


def decide(
    command: DetainerCommand, current: Detainer | None, now: datetime, max_future: timedelta = timedelta.max
) -> Detainer | None:
    """The version that `command` makes of `current`, accepted at `now`; None where it changes nothing.

    A command that comes again, and finds what it made still standing, changes nothing: retries are harmless.
    A detainer that has lapsed is not ended: an amendment with a later `expires_at`, or none, renews it. The one that
    supersedes another need not be known: the agency may lodge it afterwards, or at another instance.

    Raises:
        Refused: occurred_at_in_future, superseded_by_itself, detainer_unknown, detainer_exists, detainer_ended,
            stale_version.
    """
    if command.occurred_at - now > max_future:
        raise Refused("occurred_at_in_future", "occurred_at lies in the future", "$.occurred_at")
    if isinstance(command, Supersede) and command.by == command.agency_reference:
        raise Refused("superseded_by_itself", "by must name another detainer than the one that it ends", "$.by")
    if current is None:
        if not isinstance(command, Lodge):
            raise Refused("detainer_unknown", "the agency has lodged no detainer of this reference", _REFERENCE)
        return _lodged(command, now)
    wanted = _next(command, current, now)
    if _same(wanted, current):
        return None
    if isinstance(command, Lodge):
        raise Refused("detainer_exists", "there is one of this reference with other content: amend it", _REFERENCE)
    if current.state in ENDED:
        raise Refused("detainer_ended", f"it is {current.state}; lodge a new one", _REFERENCE)
    if (command.occurred_at, command.sequence) <= (current.occurred_at, current.sequence):
        raise Refused(
            "stale_version", "there is a version as new, or newer, by occurred_at and sequence", "$.occurred_at"
        )
    return wanted


_REFERENCE: Final = "$.agency_reference"


def _lodged(command: Lodge, now: datetime) -> Detainer:
    return Detainer(
        detainer_id=id_of(command),
        agency=command.agency,
        agency_reference=command.agency_reference,
        type=command.type,
        intent=command.intent,
        state=DetainerState.ACTIVE,
        person=command.person,
        lodged_at=command.occurred_at,
        occurred_at=command.occurred_at,
        accepted_at=now,
        sequence=command.sequence,
        expires_at=command.expires_at,
    )


def _next(command: DetainerCommand, current: Detainer, now: datetime) -> Detainer:
    match command:
        case Lodge():
            return _lodged(command, now)
        case Amend():
            return msgspec.structs.replace(
                current,
                type=command.type,
                intent=command.intent,
                state=DetainerState.ACTIVE,
                person=command.person,
                expires_at=command.expires_at,
                occurred_at=command.occurred_at,
                accepted_at=now,
                sequence=command.sequence,
                ended_at=None,
                end_reason=None,
            )
        case Lift():
            return _ended(command, current, now, DetainerState.LIFTED, command.reason)
        case Withdraw():
            return _ended(command, current, now, DetainerState.WITHDRAWN, command.reason)
        case CustodyAssumed():
            return _ended(command, current, now, DetainerState.CUSTODY_ASSUMED, None)
        case Decline():
            return _ended(command, current, now, DetainerState.DECLINED, command.reason)
        case Supersede():
            ended = _ended(command, current, now, DetainerState.SUPERSEDED, None)
            return msgspec.structs.replace(ended, superseded_by=command.by)


def _ended(
    command: DetainerCommand, current: Detainer, now: datetime, state: DetainerState, reason: str | None
) -> Detainer:
    return msgspec.structs.replace(
        current,
        state=state,
        occurred_at=command.occurred_at,
        accepted_at=now,
        sequence=command.sequence,
        ended_at=command.occurred_at,
        end_reason=reason,
    )


def _same(wanted: Detainer, current: Detainer) -> bool:
    # Compared as they are written: what was read strictly is of another class than what came from the topic.
    return _encode(msgspec.structs.replace(wanted, accepted_at=current.accepted_at)) == _encode(current)
