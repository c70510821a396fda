"""What is on custody.state.v1: a record for each episode and each feed watched, and one for the partition's progress.

The format is the matcher's own business. Its records are written in the same transaction as what they led to, so
that whoever reads them committed sees a state that agrees with what was published (G3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.partition import BEGINNING, Pair, PartitionState, Watch

__all__ = [
    "PROGRESS_KEY",
    "STATE_TOPIC",
    "Progress",
    "decode_progress",
    "encode_episode",
    "encode_parts",
    "encode_progress",
    "encode_watch",
    "load",
    "load_episode",
    "progress_among",
    "watch_key",
]

STATE_TOPIC: Final = "custody.state.v1"
PROGRESS_KEY: Final = b"progress"
_WATCH: Final = b"feed:"


class Progress(Struct, frozen=True):
    """How far a partition is.

    custody: next offset of custody.events.v1. seen: for each topic that every instance reads whole, by its short name
    (`broadcasts`), partition (JSON has string keys only) -> next offset that it has not been judged against. model: the
    identity model that has judged all of it, empty if none is known to have. clock: the time it was last judged at.
    """

    custody: int = 0
    seen: dict[str, dict[str, int]] = {}
    model: str = ""
    clock: datetime = BEGINNING


class _EpisodeRecord(Struct, frozen=True, omit_defaults=True):
    """put_away: the episode was let go then, and all else is gone."""

    facility: str = ""
    booking_number: str = ""
    facts: list[Fact] = []
    pairs: dict[str, Pair] = {}
    put_away: datetime | None = None


_encoder = msgspec.json.Encoder()
_episodes = msgspec.json.Decoder(_EpisodeRecord)
_progress = msgspec.json.Decoder(Progress)
_watches = msgspec.json.Decoder(Watch)


def encode_episode(state: PartitionState, episode_id: str) -> bytes | None:
    """The changelog record of an episode as it stands in `state`; None (a tombstone) if nothing is left of it."""
    episode = state.episodes.get(episode_id)
    if episode is None:
        put_away = state.put_away.get(episode_id)
        return _encoder.encode(_EpisodeRecord(put_away=put_away)) if put_away is not None else None
    return encode_parts(episode, state.pairs.get(episode.id, {}))


def encode_parts(episode: Episode, pairs: dict[str, Pair]) -> bytes:
    """The changelog record of an episode and its pairs, by detainer id."""
    return _encoder.encode(_EpisodeRecord(episode.facility, episode.booking_number, episode.facts, pairs))


def load_episode(state: PartitionState, episode_id: str, value: bytes | None) -> None:
    """Put a changelog record back into `state`."""
    record = _episodes.decode(value) if value is not None else None
    if record is None or record.put_away is not None:
        state.let_go(episode_id, record.put_away if record is not None else None)
        return
    episode = Episode(record.facility, record.booking_number, episode_id)
    for fact in record.facts:
        episode.add(fact)
    state.restore(episode, record.pairs)


def load(state: PartitionState, newest: Mapping[bytes, bytes | None], progress: Progress) -> Progress:
    """Bring `state` up to the newest record of each key; returns the progress among them, else the one given."""
    for key, value in newest.items():
        if key.startswith(_WATCH):
            if value is not None:
                facility = key.removeprefix(_WATCH).decode()
                state.watched[facility] = _watches.decode(value)
                state.timers.set(("", facility), BEGINNING)
        elif key != PROGRESS_KEY:
            load_episode(state, key.decode(), value)
    progress = progress_among(newest, progress)
    state.clock = max(state.clock, progress.clock)
    return progress


def progress_among(newest: Mapping[bytes, bytes | None], progress: Progress) -> Progress:
    """The progress among the newest record of each key, else the one given."""
    value = newest.get(PROGRESS_KEY)
    return decode_progress(value) if value is not None else progress


def watch_key(facility: str) -> bytes:
    """The key of a feed's record."""
    return _WATCH + facility.encode()


def encode_watch(state: PartitionState, facility: str) -> bytes:
    """The changelog record of a feed that the partition watches."""
    return _encoder.encode(state.watched[facility])


def encode_progress(progress: Progress) -> bytes:
    return _encoder.encode(progress)


def decode_progress(value: bytes) -> Progress:
    return _progress.decode(value)
