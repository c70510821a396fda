"""An independent reader (kafka-python) of what is committed."""

from __future__ import annotations

from deploy.demo.observe import read_whole

__all__ = ["committed"]


def committed(bootstrap: str, topic: str = "conflicts.v1") -> list[bytes]:
    """The value of every record that a committed reader sees, each partition in its order."""
    return [record.value for record in read_whole(bootstrap, [topic])]
