"""Rotating the key that webhook secrets are under, while deliveries go on.

The keys are read again every few seconds, so that a mounted file may be replaced; then whatever is under an older key
is put under the first one, a batch at a time. Every instance does so: a row is changed only if it is still what was
read, and who comes second finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from pydantic import ValidationError

from services.notifier.adapters.postgres.kept import kept_after, replace_kept
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.adapters.secrets import SecretBox, fingerprint
from services.notifier.metrics import SECRETS
from services.platform.errors import ConfigurationError, SallyportError
from services.platform.logs import get_logger

__all__ = ["Counts", "Rotation", "count"]

log = get_logger(__name__)
_LOOK_S: Final = 5.0
_ALL_S: Final = 60.0
"""Seconds between two passes over all rows, when no key was changed."""
_BATCH: Final = 200


class Counts(Struct):
    """Secrets by the key that they are under: each of the keys in their order, and none of them."""

    by_key: list[int]
    unknown: int = 0

    @property
    def older(self) -> int:
        return sum(self.by_key[1:])


async def count(pool: Pool, box: SecretBox) -> Counts:
    """Where the rows stand. Raises one of AWAY."""
    counts = Counts([0] * len(box.keys))
    last = ""
    while rows := await kept_after(pool, last, _BATCH):
        last = rows[-1][0]
        for _, encrypted in rows:
            _add(counts, box.key_of(encrypted))
        await asyncio.sleep(0)
    return counts


class Rotation:
    """`run` ends only when cancelled. read_keys: the keys as they are configured now; may raise SallyportError."""

    def __init__(self, pool: Callable[[], Pool], box: SecretBox, read_keys: Callable[[], Sequence[str]]) -> None:
        self._pool = pool
        self._box = box
        self._read_keys = read_keys
        self._passed_at = -_ALL_S
        self._left = True

    async def run(self) -> None:
        while True:
            changed = self.reread()
            if changed or self._left or time.monotonic() - self._passed_at > _ALL_S:
                try:
                    await self.renew()
                except AWAY as error:
                    log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(_LOOK_S)

    def reread(self) -> bool:
        """Take the keys as they are configured now; whether they are others. Keys that are of no use are not taken."""
        try:
            keys = self._read_keys()
            if tuple(keys) == self._box.keys:
                return False
            self._box.use(keys)
        except (SallyportError, ValidationError) as error:
            code = error.code if isinstance(error, SallyportError) else ConfigurationError.code
            log.error("secrets_keys_not_taken", code=code)
            return False
        log.info("secrets_keys_changed", reason=f"the first is {fingerprint(keys[0])}", count=len(keys))
        return True

    async def renew(self) -> Counts:
        """One pass over all rows; returns what it left under which key. Raises one of AWAY."""
        box, last, renewed = self._box, "", 0
        counts = Counts([0] * len(box.keys))
        keys = box.keys
        while rows := await kept_after(self._pool(), last, _BATCH):
            last = rows[-1][0]
            older: list[tuple[str, bytes]] = []
            for name, encrypted in rows:
                number = box.key_of(encrypted)
                if number:
                    older.append((name, encrypted))
                else:
                    _add(counts, number)
            if older:
                changes = [(name, before, box.renewed(before)) for name, before in older]
                done = await replace_kept(self._pool(), changes)
                renewed += done
                counts.by_key[0] += done
                counts.by_key[-1] += len(changes) - done  # changed by somebody else meanwhile: the next pass tells
            await asyncio.sleep(0)
        self._passed_at, self._left = time.monotonic(), bool(counts.older) or keys != box.keys
        for state, number_of in (("first", counts.by_key[0]), ("older", counts.older), ("unknown", counts.unknown)):
            SECRETS.labels(state).set(number_of)
        if renewed:
            log.info("secrets_renewed", count=renewed)
        if counts.unknown:
            # Their endpoints get nothing until the key is back.
            log.error("secrets_key_missing", count=counts.unknown)
        return counts


def _add(counts: Counts, number: int | None) -> None:
    if number is None:
        counts.unknown += 1
    else:
        counts.by_key[number] += 1
