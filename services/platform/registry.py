"""The registry as every service holds it: agencies, facilities and sources, read whole from registry.v1."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

import msgspec
from faststream.kafka import KafkaBroker

from contracts.types.registry import Agency, Facility, RegistryRecord, Source
from services.platform.errors import Forbidden, Unauthenticated
from services.platform.kafka.batches import Fatal, Records
from services.platform.kafka.table import WholeTopic
from services.platform.logs import get_logger

__all__ = ["REGISTRY_TOPIC", "Registry", "RegistryTable", "hash_key", "new_key"]

REGISTRY_TOPIC = "registry.v1"
log = get_logger(__name__)


def new_key() -> str:
    """A fresh API key: 256 random bits behind a prefix that secret scanners can know."""
    return f"sallyport_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """What the registry keeps of a key. Keys are random and long, so that one round of SHA-256 is enough."""
    return sha256(key.encode()).hexdigest()


class Registry:
    """The records by kind and id. Pure: whoever reads the topic calls `put` and `remove`."""

    def __init__(self) -> None:
        self.agencies: dict[str, Agency] = {}
        self.facilities: dict[str, Facility] = {}
        self.sources: dict[str, Source] = {}
        self._by_hash: dict[str, str] = {}

    def put(self, record: RegistryRecord) -> None:
        match record:
            case Agency():
                self.agencies[record.id] = record
            case Facility():
                self.facilities[record.id] = record
            case Source():
                self._forget_keys(record.id)
                self.sources[record.id] = record
                for digest in record.key_sha256:
                    self._by_hash[digest] = record.id

    def remove(self, key: str) -> None:
        """Take out the record with this topic key (`kind:id`); unknown keys are of no concern."""
        kind, _, name = key.partition(":")
        if kind == "source":
            self._forget_keys(name)
            self.sources.pop(name, None)
        elif kind == "facility":
            self.facilities.pop(name, None)
        elif kind == "agency":
            self.agencies.pop(name, None)

    def authenticate(self, authorization: str | None) -> Source:
        """The active source whose key an `Authorization: Bearer` header carries.

        Raises:
            Unauthenticated: no such header, unknown key, or the source is not active.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("an API key is needed: Authorization: Bearer KEY")
        digest = hash_key(key.strip())
        source = self.sources.get(self._by_hash.get(digest, ""))
        # The look-up is by hash of a secret, so its timing tells nothing of the key; the comparison is belt and braces.
        if (
            source is None
            or not source.active
            or not any(hmac.compare_digest(digest, known) for known in source.key_sha256)
        ):
            raise Unauthenticated("the API key is not known")
        return source

    def facility_for(self, source: Source, facility: str) -> Facility:
        """The facility, if `source` may speak for it.

        Raises:
            Forbidden: not its facility, or not an active one. Which of the two is not told.
        """
        known = self.facilities.get(facility)
        if facility not in source.facilities or known is None or not known.active:
            raise Forbidden("the source may not speak for this facility")
        return known

    def agency_for(self, source: Source, agency: str | None = None) -> Agency:
        """The agency that `source` speaks for, which must be `agency` where one is named.

        Raises:
            Forbidden: the source speaks for no agency, for another one, or for one that is not active.
        """
        known = self.agencies.get(source.agency or "")
        if known is None or not known.active or (agency is not None and agency != known.id):
            raise Forbidden("the source may not speak for this agency")
        return known

    def reviewer(self, source: Source) -> Source:
        """The source, if it speaks for reviewers.

        Raises:
            Forbidden: it does not.
        """
        if not source.reviewer:
            raise Forbidden("the source may not review")
        return source

    def _forget_keys(self, source_id: str) -> None:
        for digest in [d for d, owner in self._by_hash.items() if owner == source_id]:
            del self._by_hash[digest]


_decode = msgspec.json.Decoder(RegistryRecord).decode


class RegistryTable:
    """Keeps a `Registry` in step with registry.v1."""

    def __init__(self, broker: KafkaBroker, *, fatal: Fatal) -> None:
        self.registry = Registry()
        self.restored = False
        self.topic = WholeTopic(broker, REGISTRY_TOPIC, self._apply, fatal=fatal)

    async def _apply(self, records: Records) -> None:
        for record in records:
            if record.value is None:
                self.registry.remove((record.key or b"").decode(errors="replace"))
                continue
            try:
                self.registry.put(_decode(record.value))
            except (msgspec.ValidationError, msgspec.DecodeError):
                # Left out rather than fatal: one bad record must not stop every service. `registry apply` writes none.
                log.error(
                    "registry_record_unreadable",
                    topic=REGISTRY_TOPIC,
                    partition=record.partition,
                    offset=record.offset,
                )

    async def restore(self) -> None:
        """Return once the table holds all that was in the topic."""
        await self.topic.caught_up()
        self.restored = True

    def check(self) -> str | None:
        """For Health.ready."""
        return None if self.restored else "registry not read yet"
