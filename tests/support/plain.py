"""Settings for the servers of the development stack, which speak plain text: the one place where tests allow that."""

from __future__ import annotations

from typing import Any, Final

from services.platform.settings import PlatformSettings

__all__ = ["PLAIN", "plain"]

PLAIN: Final = {"SALLYPORT_ALLOW_PLAINTEXT": "true"}
"""For a process whose environment is not `StackInfo.environ()`, which says it itself."""


def plain(bootstrap_servers: str = "127.0.0.1:9092", **more: Any) -> PlatformSettings:
    """What a client of these brokers needs, whatever the environment says."""
    return PlatformSettings(
        _env_file=None, kafka_bootstrap_servers=bootstrap_servers, allow_plaintext=True, kafka_username="", **more
    )
