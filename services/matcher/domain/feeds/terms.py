"""When a feed is stopped, and when it is called silent."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Final, Self

import msgspec
from msgspec import Struct

__all__ = ["FeedTerms"]

_A_HANDFUL: Final = 3
_OF_THE_SHARE: Final = 4


class FeedTerms(Struct, frozen=True, kw_only=True):
    """share, window, at_least: a facility that releases more than this share of its population within the window, and
        at least so many, is stopped (rule 19). Whole minutes.
    round: how long what rests on releases that look like a mass by one partition's count waits for those of the others.
    keep: releases accepted longer ago than this, before the newest message, are not counted any more.
    floor, factor, min_gaps: a facility is silent after `factor` times its usual gap, never before `floor`, and is not
        judged until so many gaps are known.
    """

    share: float = 0.25
    window: timedelta = timedelta(minutes=60)
    at_least: int = 10
    round: timedelta = timedelta(seconds=5)
    keep: timedelta = timedelta(hours=24)
    floor: timedelta = timedelta(hours=1)
    factor: float = 3.0
    min_gaps: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError("share: must lie between 0 and 1")
        if self.at_least < 1 or self.min_gaps < 1:
            raise ValueError("at_least, min_gaps: at least 1")
        if self.window < timedelta(minutes=1) or self.keep < self.window:
            raise ValueError("window: at least a minute, and keep no shorter than the window")

    def alone(self, partitions: int) -> Self:
        """By what one of so many partitions takes its own count for part of a mass: its part of `at_least`, three at
        least, and a quarter of the share already, since waiting for a round costs seconds and not an operator."""
        at_least = max(_A_HANDFUL, ceil(self.at_least / partitions))
        return msgspec.structs.replace(self, share=self.share / _OF_THE_SHARE, at_least=at_least)
