"""What waits before it is said (rule 19): for an operator, where a breaker has stopped the feed that it rests on; and
for the tallies of all partitions to go round, where the releases that this one counts could be part of a mass.

The second comes first: releases that arrive together would all be told in the transactions whose tallies trip the
breaker. Nothing waits that would be said without these releases too, such as the retraction of a lost identity.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct

from contracts.types.conflict import Stage
from contracts.types.detainer import Detainer
from services.matcher.domain.episode import EpisodeView, Fact
from services.matcher.domain.partition import BEGINNING, Pair, PartitionState
from services.matcher.domain.stages import Standing, Verdict, derive
from services.matcher.domain.telling import Occasion, asked, is_asked, news

__all__ = ["Waiting", "derived", "waiting"]


class Waiting(Struct, frozen=True):
    """Whether the next version of a pair's conflict has to wait, and that of its review."""

    conflict: bool = False
    review: bool = False


_NOTHING: Final = Waiting()


def derived(state: PartitionState, view: EpisodeView, facility: str, detainer: Detainer) -> Verdict:
    """Where a pair would stand if the facts came to this view."""
    ground = state.ground
    return derive(view, detainer, ground.terms, ground.places.zone(facility), state.clock)


def waiting(state: PartitionState, pair: Pair, verdict: Verdict, on: Occasion) -> Waiting:
    """What of that which there is to say has to wait. Notes it in `state`, and when to look again."""
    key = (on.episode.id, on.detainer.detainer_id)
    found, ends = _NOTHING, None
    if _has_news(pair, verdict.standing, on):
        found = _resting(state, pair, verdict.standing, on, state.is_held)
        if found == _NOTHING:
            found = _resting(state, pair, verdict.standing, on, state.is_suspect)
            if found != _NOTHING:
                ends = state.rounds.get(key, state.clock + state.ground.feed_terms.round)
                if _is_over(state, ends):
                    found, ends = _NOTHING, None
    state.waits(key, found.conflict, found.review, ends)
    if ends is not None:
        look_at = max(ends, state.began + state.ground.feed_terms.round)
        state.timers.set(key, min(look_at, verdict.again_at or look_at))
    return found


def _is_over(state: PartitionState, ends: datetime) -> bool:
    """Not before the partition has served for as long: a backlog is judged by a clock of its own, and tells the others
    of its tallies behind it."""
    if state.began is BEGINNING:
        return False
    return max(ends, state.began + state.ground.feed_terms.round) <= state.clock


def _has_news(pair: Pair, standing: Standing | None, on: Occasion) -> bool:
    return news(pair, standing, on) is not None or asked(pair, standing, on) != is_asked(pair)


def _resting(
    state: PartitionState,
    pair: Pair,
    standing: Standing | None,
    on: Occasion,
    is_unsure: Callable[[Fact], bool],
) -> Waiting:
    """What rests on facts that `is_unsure` names: without them another stage would be said."""
    unsure = {fact.id for fact in on.episode.counted.values() if is_unsure(fact)}
    if not unsure:
        return _NOTHING
    without = derived(state, on.episode.view_without(unsure), on.episode.facility, on.detainer).standing
    return Waiting(
        conflict=_said(pair, standing, on) is not _said(pair, without, on),
        review=asked(pair, standing, on) not in (is_asked(pair), asked(pair, without, on)),
    )


def _said(pair: Pair, standing: Standing | None, on: Occasion) -> Stage | None:
    """The stage that would be said last."""
    said = news(pair, standing, on)
    if said is not None:
        return said[0].stage
    return pair.told.stage if pair.told is not None else None
