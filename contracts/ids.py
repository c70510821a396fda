"""Stable identifiers, derived from what they name.

Keys and headers on Kafka carry no personal data (G8): a booking number or an agency's own reference can name
a person, so both are hashed before they become a key. The same inputs give the same id in every service, on
every run, which is what makes duplicates recognisable (G2, G4).
"""

from __future__ import annotations

from hashlib import blake2b

__all__ = [
    "breaker_id",
    "conflict_id",
    "decision_id",
    "delivery_id",
    "detainer_id",
    "episode_id",
    "notice_id",
    "reject_id",
    "review_id",
]

# ASCII unit separator. Each id has a fixed count of parts, of which one at most (a booking number, an agency's own
# reference, a source) is free text that could hold it; so ("a", "bc") never meets ("ab", "c").
_SEPARATOR = b"\x1f"
# Base 32 (RFC 4648) in lower case, two digits at a time: every event has an id made, and base64.b32encode is slow.
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_SHIFTS = range(110, -1, -10)


def _derive(prefix: str, *parts: str) -> str:
    digest = blake2b(_SEPARATOR.join([part.encode() for part in parts]), digest_size=15, person=b"sallyport")
    n = int.from_bytes(digest.digest(), "big")
    return f"{prefix}_{''.join([_PAIRS[n >> shift & 1023] for shift in _SHIFTS])}"


def episode_id(facility: str, booking_number: str) -> str:
    """The custody episode of one booking; a booking number is unique only with its facility (rule 17)."""
    return _derive("epi", facility, booking_number)


def detainer_id(agency: str, agency_reference: str) -> str:
    """The detainer that `agency` (ORI) knows under `agency_reference`.

    The agency is part of the id, so that no agency can name another's detainer.
    """
    return _derive("det", agency, agency_reference)


def conflict_id(detainer: str, episode: str) -> str:
    """The one conflict of a (detainer, custody episode) pair."""
    return _derive("con", detainer, episode)


def review_id(detainer: str, episode: str) -> str:
    """The one review of a (detainer, custody episode) pair."""
    return _derive("rev", detainer, episode)


def decision_id(review: str, version: int, decision: str, reviewer: str) -> str:
    """What one reviewer decided on one version of a review: the same decision, sent again, is the same."""
    return _derive("dec", review, str(version), decision, reviewer)


def breaker_id(facility: str, since: str, number: int) -> str:
    """A breaker of the facility's feed, about releases from `since` (RFC 3339, UTC) on; `number` were known before."""
    return _derive("brk", facility, since, str(number))


def notice_id(conflict: str, version: int, recipient: str) -> str:
    """What `recipient` (agency ORI) is told of one conflict version (rule 18)."""
    return _derive("ntc", conflict, str(version), recipient)


def delivery_id(notice: str, subscription: str) -> str:
    """The carrying of one notice over one subscription."""
    return _derive("dlv", notice, subscription)


def reject_id(source: str, raw: bytes, code: str) -> str:
    """The same bytes, refused for the same reason from the same source, are the same reject."""
    return _derive("rej", source, code, blake2b(raw, digest_size=16).hexdigest())
