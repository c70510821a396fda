"""What is on custody.state.v1: a record for each episode, and one for the progress of the partition.

The format is the matcher's own business. Its records are written in the same transaction as what they led to, so
that whoever reads them committed sees a state that agrees with what was published (G3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.partition import Pair, PartitionState

__all__ = [
    "PROGRESS_KEY",
    "STATE_TOPIC",
    "Progress",
    "decode_progress",
    "encode_episode",
    "encode_progress",
    "load",
    "load_episode",
]

STATE_TOPIC: Final = "custody.state.v1"
PROGRESS_KEY: Final = b"progress"


class Progress(Struct, frozen=True):
    """How far a partition is. custody: next offset of custody.events.v1. detainers: partition of detainers.v1 (JSON
    has string keys only) -> next offset that it has not been judged against. model: the identity model that has judged
    all of it, empty if none is known to have."""

    custody: int = 0
    detainers: dict[str, int] = {}
    model: str = ""


class _EpisodeRecord(Struct, frozen=True, omit_defaults=True):
    facility: str
    booking_number: str
    facts: list[Fact]
    pairs: dict[str, Pair] = {}


_encoder = msgspec.json.Encoder()
_episodes = msgspec.json.Decoder(_EpisodeRecord)
_progress = msgspec.json.Decoder(Progress)


def encode_episode(state: PartitionState, episode: Episode) -> bytes:
    """The changelog record of an episode as it stands in `state`."""
    return _encoder.encode(
        _EpisodeRecord(episode.facility, episode.booking_number, episode.facts, state.pairs.get(episode.id, {}))
    )


def load_episode(state: PartitionState, value: bytes) -> None:
    """Put a changelog record back into `state`."""
    record = _episodes.decode(value)
    episode = Episode(record.facility, record.booking_number)
    for fact in record.facts:
        episode.add(fact)
    state.restore(episode, record.pairs)


def load(state: PartitionState, newest: Mapping[bytes, bytes | None], progress: Progress) -> Progress:
    """Bring `state` up to the newest record of each key; returns the progress among them, else the one given."""
    for key, value in newest.items():
        if value is None:
            continue
        if key == PROGRESS_KEY:
            progress = decode_progress(value)
        else:
            load_episode(state, value)
    return progress


def encode_progress(progress: Progress) -> bytes:
    return _encoder.encode(progress)


def decode_progress(value: bytes) -> Progress:
    return _progress.decode(value)
