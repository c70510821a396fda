"""Which records are filed under a key: sorted arrays of (key, record number), and a small map of what is new.

An entry is one number of 64 bits: the upper bits of a key, then the record number. Looking up is a binary search in
each array ("run"). New entries gather in a map; a full one becomes a run, and runs are merged into larger ones, a few
thousand entries at each change, so that no change waits for a large merge. Entries of records that were removed are
ignored, and dropped when their run is merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_RECORDS", "Found", "Postings", "entries"]

_NUMBER_BITS: Final = 26
MAX_RECORDS: Final = 1 << _NUMBER_BITS
_NUMBER: Final = MAX_RECORDS - 1
_KEY: Final = ((1 << 63) - 1) ^ _NUMBER  # without the top bit: the key after the last one is a number too
_NUMBERS: Final = np.uint64(_NUMBER)
_KEYS: Final = np.uint64(_KEY)
_NEXT: Final = np.uint64(MAX_RECORDS)
_FRESH: Final = 4096
"""Entries that gather in the map before they become a run."""
_STEP: Final = 8192
"""Entries merged at each change: some 0.1 ms."""
_STRIDE: Final = 32
_WITHIN: Final = np.arange(_STRIDE)
_LARGE: Final = 1 << 20
_RATIO: Final = 4
"""A run is merged with the smaller ones after it when they are more than a _RATIO-th of it."""

Entries = NDArray[np.uint64]


def entries(keys: Entries, numbers: NDArray[np.int64]) -> Entries:
    """Keys (64 bits) and the numbers of the records filed under them, as entries; not sorted."""
    return (keys & _KEYS) | numbers.astype(np.uint64)


class _Run:
    """Sorted entries; of a long run each _STRIDE-th beside it, where a processor's cache can hold them."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self._top = entries[::_STRIDE].copy() if len(entries) >= _LARGE else None

    def __len__(self) -> int:
        return len(self.entries)

    def locate(self, wanted: Entries) -> NDArray[np.int64]:
        """entries.searchsorted(wanted), with fewer reads of memory that is far away."""
        if self._top is None:
            return self.entries.searchsorted(wanted)
        first = np.maximum(self._top.searchsorted(wanted) - 1, 0) * _STRIDE
        near = self.entries.take(first[:, None] + _WITHIN, mode="clip")
        place: NDArray[np.int64] = first + np.count_nonzero(near < wanted[:, None], axis=1)
        return np.minimum(place, len(self.entries))


class Found(NamedTuple):
    """numbers: of the records under the keys asked for, some more than once. which: the key that led to each.

    cut: the places of keys that were left out.
    """

    numbers: NDArray[np.int64]
    which: NDArray[np.int64]
    cut: list[int]


class _Merge:
    """Runs on their way into one. `step` does a part; `done` has the whole when there is no more."""

    def __init__(self, runs: list[_Run]) -> None:
        self.runs = sorted(runs, key=len, reverse=True)
        self._at = [0] * len(runs)
        self._out = np.empty(sum(map(len, runs)), np.uint64)
        self._filled = 0
        self.done: Entries | None = None

    def step(self, alive: NDArray[np.bool_]) -> None:
        first, start = self.runs[0].entries, self._at[0]
        # The largest run sets how far this step goes; keys are hashes, so the others have their share of it.
        take = max(1, _STEP * len(first) // max(1, len(self._out)))
        last = start + take >= len(first)
        parts = []
        for number, run in enumerate(self.runs):
            end = len(run) if last else int(run.entries.searchsorted(first[start + take]))
            parts.append(run.entries[self._at[number] : end])
            self._at[number] = end
        merged = np.concatenate(parts)
        merged.sort()
        kept = merged[alive[(merged & _NUMBERS).astype(np.int64)]]
        self._out[self._filled : self._filled + len(kept)] = kept
        self._filled += len(kept)
        if last:
            self.done = self._out[: self._filled]


class Postings:
    """Entries by key. `alive[number]` is False for records that were removed; whoever owns the records keeps it."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._fresh: dict[int, int | list[int]] = {}
        self._fresh_count = 0
        self._merge: _Merge | None = None
        self._purging = False

    @property
    def size(self) -> int:
        """Bytes of the arrays; the map of what is new, some 0.3 MB at most, is not counted."""
        return sum(run.entries.nbytes for run in self._runs)

    def whole(self) -> Entries:
        """Every entry, sorted, those of removed records among them."""
        runs = [run.entries for run in self._runs] + ([self._sorted_fresh()] if self._fresh else [])
        if len(runs) == 1:
            return runs[0]
        merged = np.concatenate([np.empty(0, np.uint64), *runs])
        merged.sort()
        return merged

    def load(self, run: Entries) -> None:
        """Take over a sorted array as the only one."""
        self._runs, self._fresh, self._fresh_count, self._merge = [_Run(run)], {}, 0, None

    def add(self, keys: Iterable[int], number: int) -> None:
        """File a record under these keys (64 bits). Whoever adds calls `work` too."""
        fresh = self._fresh
        for key in keys:
            cut = key & _KEY
            there = fresh.get(cut)
            if there is None:
                fresh[cut] = number
            elif isinstance(there, int):
                fresh[cut] = [there, number]
            else:
                there.append(number)
            self._fresh_count += 1
        if self._fresh_count >= _FRESH:
            self._runs.append(_Run(self._sorted_fresh()))
            self._fresh, self._fresh_count = {}, 0

    def work(self, alive: NDArray[np.bool_]) -> bool:
        """Merge a little, if there is anything to merge; True when a purge has come to its end."""
        if self._merge is None:
            worth = self._worth_merging()
            if not worth:
                return False
            self._merge = _Merge(worth)
        self._merge.step(alive)
        if self._merge.done is None:
            return False
        merged = self._merge.runs
        at = next(n for n, run in enumerate(self._runs) if run in merged)
        self._runs = [run for run in self._runs if run not in merged]
        self._runs.insert(at, _Run(self._merge.done))
        self._merge = None
        purged, self._purging = self._purging, False
        return purged

    def purge(self) -> bool:
        """Begin to merge everything that there is now; False if another merge is under way."""
        if self._merge is not None:
            return False
        if self._fresh:
            self._runs.append(_Run(self._sorted_fresh()))
            self._fresh, self._fresh_count = {}, 0
        if self._runs:
            self._merge, self._purging = _Merge(self._runs), True
        return self._purging

    def find(self, keys: Entries, caps: NDArray[np.int64], alive: NDArray[np.bool_], dead: int) -> Found:
        """The records under each of `keys`, but for a key with more than its cap: that one's are left out.

        keys: 64 bits each, as for `add`. dead: how many removed records there may be entries of, at most.
        """
        wanted = keys & _KEYS
        total = np.zeros(len(wanted), np.int64)
        places: list[tuple[Entries, NDArray[np.int64], NDArray[np.int64]]] = []
        for run in self._runs:
            if not len(run):
                continue
            start = run.locate(wanted)
            here_too = np.flatnonzero((run.entries[np.minimum(start, len(run) - 1)] & _KEYS) == wanted)
            sizes = np.zeros(len(wanted), np.int64)
            sizes[here_too] = run.locate(wanted[here_too] + _NEXT) - start[here_too]
            total += sizes
            places.append((run.entries, start, sizes))
        fresh = self._fresh
        here: list[tuple[int, int | list[int]]] = []
        if fresh:
            for which, key in enumerate(wanted.tolist()):
                there = fresh.get(key)
                if there is not None:
                    here.append((which, there))
                    total[which] += 1 if isinstance(there, int) else len(there)
        parts: list[Entries] = []
        which_parts: list[NDArray[np.int64]] = []
        over = total > caps
        if dead and len(in_doubt := np.flatnonzero(over & (total - dead <= caps))):
            self._recount(total, in_doubt, places, dict(here), alive)
            over = total > caps
        cut = np.flatnonzero(over).tolist()
        for block, start, sizes in places:
            wide = np.flatnonzero((sizes > 0) & ~over)
            starts, lengths = start[wide].tolist(), sizes[wide]
            parts += [block[at : at + size] for at, size in zip(starts, lengths.tolist(), strict=True)]
            which_parts.append(np.repeat(wide, lengths))
        late_numbers: list[int] = []
        late_which: list[int] = []
        for which, there in here:
            if over[which]:
                continue
            some = [there] if isinstance(there, int) else there
            late_numbers += some
            late_which += [which] * len(some)
        if late_numbers:
            parts.append(np.array(late_numbers, np.uint64))
            which_parts.append(np.array(late_which, np.int64))
        if not parts:
            nothing = np.empty(0, np.int64)
            return Found(nothing, nothing, cut)
        numbers = (np.concatenate(parts) & _NUMBERS).astype(np.int64)
        which_all = np.concatenate(which_parts)
        if dead:
            living = alive[numbers]
            numbers, which_all = numbers[living], which_all[living]
        return Found(numbers, which_all, cut)

    def _recount(
        self,
        total: NDArray[np.int64],
        which: NDArray[np.int64],
        places: list[tuple[Entries, NDArray[np.int64], NDArray[np.int64]]],
        here: dict[int, int | list[int]],
        alive: NDArray[np.bool_],
    ) -> None:
        """Count without removed records: whether a block is left out must not depend on what was there before (G2)."""
        for key in which.tolist():
            count = 0
            for run, start, sizes in places:
                block = run[start[key] : start[key] + sizes[key]]
                count += int(np.count_nonzero(alive[(block & _NUMBERS).astype(np.int64)]))
            there = here.get(key, [])
            count += sum(bool(alive[number]) for number in ([there] if isinstance(there, int) else there))
            total[key] = count

    def _sorted_fresh(self) -> Entries:
        flat: list[int] = []
        for key, there in self._fresh.items():
            if isinstance(there, int):
                flat.append(key | there)
            else:
                flat += [key | number for number in there]
        run = np.array(flat, np.uint64)
        run.sort()
        return run

    def _worth_merging(self) -> list[_Run]:
        """The longest tail of runs whose first is not much larger than the rest of it together."""
        smaller = 0
        worth = 0
        for number in range(len(self._runs) - 1, -1, -1):
            if smaller and len(self._runs[number]) <= _RATIO * smaller:
                worth = number + 1
            smaller += len(self._runs[number])
        return self._runs[worth - 1 :] if worth else []
