"""Search for people where none may be (G8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from deploy.demo.world.generate import World

__all__ = ["found_in", "places_of_records", "secrets_of"]


def secrets_of(world: World) -> set[str]:
    """Names, birth dates and numbers of everybody, and the numbers by which jails and agencies know them."""
    own: set[str] = set()
    for post in [*world.lodged, *world.stream]:
        for name in ("booking_number", "agency_reference"):
            own.add(getattr(post.body, name, ""))
    return {secret.casefold() for secret in world.secrets | own if secret}


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that occur in the text, whatever their case."""
    folded = text.casefold()
    return [secret for secret in secrets if secret in folded]


def places_of_records(records: Iterable[Any]) -> Iterator[str]:
    """Topic, key and headers of each record, as text; never its value."""
    for record in records:
        headers = " ".join(f"{name}={(value or b'').decode(errors='replace')}" for name, value in record.headers or ())
        yield f"{record.topic} {(record.key or b'').decode(errors='replace')} {headers}"
