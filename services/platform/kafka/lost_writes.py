"""aiokafka on uvloop: a write to a connection that is gone is a lost connection.

asyncio's transports swallow such a write, and aiokafka waits for OSError alone; uvloop's raise RuntimeError. In the
task that keeps a client's metadata nothing catches that, and it ends without a word: the client never again learns
where a partition is led or who coordinates its group, while what it knew goes on to be fetched. Seen with aiokafka
0.14: of ten clients one, at the second kill of the broker (docs/adr/0028).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

__all__ = ["install"]

_WRITING: Final = ("send", "_send_sasl_token")


def install() -> None:
    """Make every connection of aiokafka in this process close itself, and raise KafkaConnectionError. Once is enough;
    more does no harm."""
    for name in _WRITING:
        method = getattr(AIOKafkaConnection, name)
        if not hasattr(method, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _closing(method))


def _closing(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def guarded(self: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return write(self, *arguments, **options)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return guarded
