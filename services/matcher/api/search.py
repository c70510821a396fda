"""POST /v1/identity/search: an operator asks this instance's indexes who somebody may be.

The answer names records by their ids, and neither it nor a log holds a name, a birth date or a number (G8). It is what
the join itself would say: the same indexes, the same model, the same rules.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from aiohttp import web
from msgspec import Struct
from pydantic import SecretStr

from contracts.catalog import load_schema
from contracts.types.common import Tier
from contracts.types.conflict import Evidence, Identity
from contracts.types.person import Identifier, Person, PersonName
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.identity.engine import Candidate
from services.matcher.domain.partition import PartitionState
from services.matcher.domain.rules import capped
from services.platform.errors import ContractViolation, Forbidden, Unauthenticated, Unavailable
from services.platform.http.edge import Route, read_body
from services.platform.http.problems import json_response

__all__ = ["MAX_BODY_BYTES", "Found", "Hit", "SearchApi", "SearchOff", "read_person"]

Side: TypeAlias = Literal["detainer", "episode"]
MAX_BODY_BYTES: Final = 64 * 1024
"""A person with every name and number that the contract allows has fewer."""


class SearchOff(Forbidden):
    """No token is configured, so nobody may search."""

    code = "identity_search_off"


class Hit(Struct, frozen=True, omit_defaults=True):
    """A record above NONE. side: detainer or episode. evidence: the bits of each field, as they were weighed."""

    record_id: str
    side: Side
    tier: Tier
    probability: float
    evidence: list[Evidence]
    passes: list[str]
    vetoes: list[str] = []


class Found(Struct, frozen=True):
    """What a search found, the most probable first.

    model: hash of the identity model. truncated: the name alone led to more records than are looked at, so that there
    may be others of this name. detainers, episodes: how many were searched. partitions: whose episodes those are; other
    instances have the others.
    """

    model: str
    truncated: bool
    detainers: int
    episodes: int
    partitions: list[int]
    candidates: list[Hit]


def read_person(raw: bytes) -> Person:
    """A person from JSON, strictly: a misspelt field, silently left out, would be a search for somebody else.

    Raises:
        ContractViolation: person_invalid. Its text names places in the document and no value but of an enumeration.
    """
    try:
        person = msgspec.json.decode(raw, type=Person)
        document = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ContractViolation("person_invalid", str(error)) from None
    parts: list[tuple[str, dict[str, Any], type[Struct]]] = [("$", document, Person)]
    parts += [(f"$.names[{n}]", name, PersonName) for n, name in enumerate(document.get("names", ()))]
    parts += [(f"$.identifiers[{n}]", one, Identifier) for n, one in enumerate(document.get("identifiers", ()))]
    for where, part, kind in parts:
        if not part.keys() <= set(kind.__struct_fields__):
            raise ContractViolation("person_invalid", f"a field that {kind.__name__} does not have", where)
    return person


class SearchApi:
    """The operation and its route.

    waiting: says what is not read yet, None once the book of detainers is. states: partition -> its episodes, of those
    that this instance serves now.
    """

    def __init__(
        self,
        book: DetainerBook,
        *,
        token: SecretStr | None,
        waiting: Callable[[], str | None],
        states: Callable[[], Mapping[int, PartitionState]],
    ) -> None:
        self._book = book
        self._token = token.get_secret_value().encode() if token is not None else b""
        self._waiting = waiting
        self._states = states

    def route(self) -> Route:
        return Route(
            "POST",
            "/v1/identity/search",
            self.post,
            "Search the detainers, and the episodes of this instance's partitions, for a person",
            request={"application/json": _person_schema()},
            responses={
                200: ("Records above NONE, by id; no names.", _FOUND),
                401: ("No token, or another.", None),
                403: ("identity_search_off: this instance has no token configured, so that nobody may search.", None),
                413: ("Body too large.", None),
                422: ("person_invalid: not a person as the contracts say.", None),
                503: ("Starting: the detainers are not read yet; Retry-After says when to come again.", None),
            },
        )

    async def post(self, request: web.Request) -> web.Response:
        """Search, in the event loop: a search among millions is a matter of milliseconds."""
        self._authorise(request.headers.get("Authorization"))
        if (waiting := self._waiting()) is not None:
            raise Unavailable(f"starting: {waiting}", 1)
        return json_response(self.search(read_person(await read_body(request))))

    def search(self, person: Person) -> Found:
        """What both sides of the join say of a person."""
        book, states = self._book, self._states()
        prepared = book.engine.prepare(person)
        hits: list[Hit] = []
        truncated = False

        def take(side: Side, found: Iterable[Candidate]) -> None:
            nonlocal truncated
            for candidate in found:
                truncated = truncated or candidate.truncated
                identity = candidate.identity
                entry = book.get(candidate.record_id) if side == "detainer" else None
                if entry is not None:
                    identity = capped(identity, entry.detainer, person)
                hits.append(_hit(side, candidate, identity))

        take("detainer", book.search(prepared))
        for state in states.values():
            take("episode", state.search(prepared))
        hits.sort(key=lambda hit: (-hit.probability, hit.side, hit.record_id))
        return Found(
            model=book.engine.model,
            truncated=truncated,
            detainers=len(book),
            episodes=sum(len(state.episodes) for state in states.values()),
            partitions=sorted(states),
            candidates=hits,
        )

    def _authorise(self, authorization: str | None) -> None:
        if not self._token:
            raise SearchOff("no token is configured: set SALLYPORT_IDENTITY_SEARCH_TOKEN of the matcher")
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the search token is needed: Authorization: Bearer TOKEN")
        if not hmac.compare_digest(token.strip().encode(), self._token):
            raise Unauthenticated("the search token is another")


def _hit(side: Side, candidate: Candidate, identity: Identity) -> Hit:
    return Hit(
        record_id=candidate.record_id,
        side=side,
        tier=identity.tier,
        probability=identity.probability or 0.0,
        evidence=list(identity.evidence),
        passes=list(candidate.passes),
        vetoes=list(identity.vetoes),
    )


_FOUND: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "truncated", "detainers", "episodes", "partitions", "candidates"],
    "properties": {
        "model": {"type": "string", "description": "Hash of the identity model."},
        "truncated": {"type": "boolean", "description": "There may be others of this name."},
        "detainers": {"type": "integer", "description": "Detainers known."},
        "episodes": {"type": "integer", "description": "Episodes of the partitions searched."},
        "partitions": {"type": "array", "items": {"type": "integer"}},
        "candidates": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["record_id", "side", "tier", "probability", "evidence", "passes"],
                "properties": {
                    "record_id": {"type": "string"},
                    "side": {"enum": ["detainer", "episode"]},
                    "tier": {"enum": ["CONFIRMED", "PROBABLE", "POSSIBLE"]},
                    "probability": {"type": "number", "minimum": 0, "maximum": 1},
                    "evidence": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "field": {"type": "string"},
                                "outcome": {"type": "string"},
                                "bits": {"type": "number"},
                            },
                        },
                    },
                    "passes": {"type": "array", "items": {"type": "string"}},
                    "vetoes": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}


def _person_schema() -> dict[str, Any]:
    """The contract's own, with what it refers to written out."""
    parts = load_schema("detainer.v1.json")["$defs"]

    def whole(node: Any) -> Any:
        if isinstance(node, list):
            return [whole(item) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(reference := node.get("$ref"), str):
            own = {key: value for key, value in node.items() if key != "$ref"}
            return {**whole(parts[reference.removeprefix("#/$defs/")]), **own}
        return {key: whole(value) for key, value in node.items()}

    found: dict[str, Any] = whole(parts["Person"])
    return found
