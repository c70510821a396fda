"""The event loop of a service: uvloop's, which leaves a TLS connection soon."""

from __future__ import annotations

from typing import Any, Final

import uvloop

__all__ = ["FAREWELL_S", "ServiceLoop"]

FAREWELL_S: Final = 0.25
"""Seconds that a connection which we close waits for the other side's close_notify; then it is cut off.

uvloop waits 30. A Kafka broker that gets our last request and our close_notify in one packet answers the first and does
not look at the second, and aiokafka's `stop()` waits until the connection is gone: a matcher that had read its state
under TLS began to serve half a minute late, after a start or a rebalance. Nothing is lost by not waiting: whatever
counts has been answered by then, and a protocol that ends by the length of its messages needs no farewell against
truncation.
"""


class ServiceLoop(uvloop.Loop):
    """uvloop's loop, with `FAREWELL_S` where a caller names no `ssl_shutdown_timeout` (aiokafka does not let one)."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        if options.get("ssl") and options.get("ssl_shutdown_timeout") is None:
            options["ssl_shutdown_timeout"] = FAREWELL_S
        return await super().create_connection(*args, **options)
