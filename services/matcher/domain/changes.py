"""Where on its topic each entry of a book was last read: what tells a partition what it has not been judged against."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["Changes"]

K = TypeVar("K", bound=Hashable)


class Changes(Generic[K]):
    """Keys by the offset of their newest record, partition by partition."""

    def __init__(self) -> None:
        # partition -> key -> offset, in the order of offsets: a change moves its key to the end
        self._order: dict[int, dict[K, int]] = {}

    def note(self, key: K, partition: int, offset: int) -> None:
        """The record at `offset`, later than any before in its partition, changed `key`."""
        order = self._order.setdefault(partition, {})
        order.pop(key, None)
        order[key] = offset

    def since(self, judged: Mapping[int, int]) -> list[K]:
        """Keys changed at or after `judged` (partition -> next offset), those of a partition oldest first."""
        found: list[tuple[int, int, K]] = []
        for partition, order in self._order.items():
            start = judged.get(partition, 0)
            for key, offset in reversed(order.items()):
                if offset < start:
                    break
                found.append((partition, offset, key))
        return [key for _, _, key in sorted(found, key=lambda change: change[:2])]
