"""Sallyport from outside: its edges with their keys, what the agencies see of it, and what reached the world.

Whoever plays a world needs no more, so that a world can be played through processes (`system.System`) and through
containers (`tests/e2e`) alike.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from contracts.types.conflict import Conflict, Review
from deploy.demo.outside import Arrival
from deploy.demo.world.places import Office

__all__ = ["Access", "ApiError", "Seen", "Served", "call"]

_MAILED = 2
"""So many agencies have e-mail beside their webhook."""


class ApiError(Exception):
    """An answer other than 2xx. status: 0 where nobody answered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"status {status}: {text[:300]}")
        self.status = status


def call(
    method: str,
    url: str,
    key: str = "",
    body: Any = None,
    timeout_s: float = 10.0,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Any:
    """One request with JSON in and out; None for an answer without a body. headers: more of them. Raises ApiError."""
    headers = {"Content-Type": content_type, **(headers or {})}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = msgspec.json.encode(body) if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            raw = answer.read()
            return json.loads(raw) if raw else None
    except urllib.error.HTTPError as error:
        with error:
            raise ApiError(error.code, error.read().decode(errors="replace")) from None
    except OSError as error:
        raise ApiError(0, type(error).__name__) from None


class Served(Protocol):
    """An HTTP edge of a service. url: its base, without a slash at the end."""

    @property
    def url(self) -> str: ...

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Status and body of a GET; status 0 where nobody answers, with the reason as body."""


class Seen(Protocol):
    """What a committed reader has seen of conflicts.v1 and reviews.v1 so far. failed: why it sees no more."""

    @property
    def conflicts(self) -> Sequence[Conflict]: ...

    @property
    def reviews(self) -> Sequence[Review]: ...

    @property
    def failed(self) -> BaseException | None: ...


class Access(ABC):
    """keys: source id -> API key. ingest, notifier: their edges. consumers: of every instance that reads topics in a
    group. mailed: codes of the agencies that have e-mail."""

    keys: dict[str, str]
    agencies: list[Office]
    mailed: list[str]
    ingest: Served
    notifier: Served

    def __init__(self, keys: Mapping[str, str], agencies: Sequence[Office], *, by_mail: bool = True) -> None:
        self.keys = dict(keys)
        self.agencies = list(agencies)
        self.mailed = [office.code for office in self.agencies[:_MAILED]] if by_mail else []

    @property
    @abstractmethod
    def consumers(self) -> Sequence[Served]: ...

    @abstractmethod
    def arrivals(self) -> list[Arrival]:
        """What has reached the world outside so far."""

    def agency_key(self, agency: str) -> str:
        return self.keys[next(office.source for office in self.agencies if office.code == agency)]

    def notices(self, agency: str, query: str = "") -> list[dict[str, Any]]:
        """Every notice of an agency, by the API, page by page. Raises ApiError."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            url = f"{self.notifier.url}/v1/notices?limit=200{query}{f'&cursor={cursor}' if cursor else ''}"
            page = call("GET", url, self.agency_key(agency))
            found += page["notices"]
            cursor = page["next_cursor"] or ""
            if not cursor:
                return found

    def subscribe(self, hooks: str, outside: str) -> None:
        """Subscribe every agency, and tell the world outside the secrets. hooks: its base URL as the notifier reaches
        it. outside: the same as we do. Raises ApiError."""
        secrets: dict[str, str] = {}
        url = f"{self.notifier.url}/v1/subscriptions"
        for office in self.agencies:
            key, hook = self.agency_key(office.code), f"{hooks}/hooks/{office.code}"
            secrets[office.code] = call("POST", url, key, {"channel": "webhook", "url": hook})["secret"]
            if office.code in self.mailed:
                call("POST", url, key, {"channel": "email", "address": f"duty-{office.code.lower()}@agency.example"})
        call("POST", f"{outside}/secrets", body=secrets)
