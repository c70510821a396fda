"""Why a door of Kafka stays shut: the certificate, the login, or an ACL; and whether all that a service needs is open.

Left to its clients, a service would not know: aiokafka says "unable to bootstrap" to a refused login as to a broker
that is down, a consumer waits for ever for a topic that it may not see, and the coordinator of a group that may not be
read ends without a word. So a service asks before it starts (KIP-430: what am I authorised to do?), waits until all of
it is granted, and asks again from time to time, so that /readyz can name what was taken away.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiokafka.client import collect_hosts
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from contracts.catalog import load_topics
from services.platform.errors import (
    BrokerUnavailable,
    KafkaLoginRefused,
    KafkaNotAuthorised,
    KafkaNotTrusted,
    SallyportError,
)
from services.platform.kafka.clients import client_options
from services.platform.logs import get_logger
from services.platform.settings import PlatformSettings

__all__ = ["Doors", "admin_client", "explained", "knock", "refusal"]

log = get_logger(__name__)
_RETRY_S: Final = 1.0
_LOOK_S: Final = 10.0
_LOGIN: Final = (
    "AuthenticationFailedError",
    "AuthenticationMethodNotSupported",
    "IllegalSaslState",
    "IllegalSaslStateError",
    "SaslAuthenticationFailed",
    "SaslAuthenticationFailedError",
    "UnsupportedSaslMechanismError",
)
_UNKNOWN_TOPIC, _TOPIC_DENIED = 3, 29


def refusal(error: BaseException, what: str) -> BrokerUnavailable | None:
    """Ours for an error by which aiokafka, kafka-python or ssl says that a door is shut; None for any other.

    what: what was attempted, for the message.
    """
    name = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return KafkaNotTrusted(f"{what}: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return KafkaNotTrusted(f"{what}: no TLS spoken there ({error.reason})")
    if name in _LOGIN:
        return KafkaLoginRefused(f"{what}: the brokers refuse the login ({name})")
    if "AuthorizationFailed" in name:
        return KafkaNotAuthorised(f"{what}: {name}: sallyport topics apply --acls")
    return None


async def knock(settings: PlatformSettings) -> None:
    """Connect and log in at the first broker that answers, and leave.

    Raises KafkaNotTrusted, KafkaLoginRefused; BrokerUnavailable: nobody answers.
    """
    options = client_options(settings)
    hosts = collect_hosts(options.pop("bootstrap_servers"))
    first: BrokerUnavailable | None = None
    for host, port, _ in hosts:
        try:
            connection = await create_conn(host, port, **options)
        except (OSError, AioKafkaError, TimeoutError) as error:
            first = first or refusal(error, f"{host}:{port}")
        else:
            connection.close()
            return
    raise first or BrokerUnavailable(f"no broker at {settings.kafka_bootstrap_servers}")


def _knock(settings: PlatformSettings) -> None:
    """For whoever does not await: in a thread of its own, since the caller's may have an event loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(knock(settings))).result()


async def explained(settings: PlatformSettings, error: BaseException, what: str) -> BrokerUnavailable:
    """What to raise for an error of aiokafka's: the shut door behind it if there is one, else BrokerUnavailable."""
    if (known := refusal(error, what)) is not None:
        return known
    if settings.allow_plaintext:
        return BrokerUnavailable(f"{what}: {type(error).__name__}")
    try:
        await knock(settings)
    except BrokerUnavailable as found:
        if type(found) is not BrokerUnavailable:
            return found
    return BrokerUnavailable(f"{what}: {type(error).__name__}")


def admin_client(settings: PlatformSettings, client_id: str, timeout_ms: int) -> KafkaAdminClient:
    """kafka-python's admin client, connected, for a command. Raises as `knock`."""
    _knock(settings)
    return _admin_client(settings, client_id, timeout_ms)


def _admin_client(settings: PlatformSettings, client_id: str, timeout_ms: int) -> KafkaAdminClient:
    """The same where somebody has knocked: by itself it would try a refused login for as long as it has time. Inside a
    service it is made, and used, in a thread."""
    options: dict[str, Any] = client_options(settings)
    options |= {"client_id": client_id, "request_timeout_ms": timeout_ms, "bootstrap_timeout_ms": timeout_ms}
    try:
        return KafkaAdminClient(**options)
    except KafkaError as error:
        found = refusal(error, settings.kafka_bootstrap_servers)
        raise found or BrokerUnavailable(f"no broker at {settings.kafka_bootstrap_servers}") from error


class Doors:
    """All that a service needs of Kafka, by its entry in contracts/topics.yaml.

    groups, transactional_ids: those it uses, by its settings; one of a kind stands for all that begin alike.
    With plain text allowed nothing is asked: there is no login, and so there are no ACLs.
    """

    def __init__(
        self,
        settings: PlatformSettings,
        service: str,
        *,
        groups: Iterable[str] = (),
        transactional_ids: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._topics = {
            name: {op for op, who in (("READ", spec.readers), ("WRITE", spec.writers)) if service in who}
            for name, spec in load_topics().items()
            if service in (*spec.readers, *spec.writers)
        }
        self._groups = tuple(groups)
        self._transactional_ids = tuple(transactional_ids)
        self._problem: str | None = None if settings.allow_plaintext else "Kafka not asked yet"

    def check(self) -> str | None:
        """For Health.ready: the code, and what is missing."""
        return self._problem

    async def opened(self) -> None:
        """Return once everything is open. A certificate, a login or an ACL that is missing is waited for: it is mended
        at the brokers, or with the next rollout, and a restart would bring none of them."""
        while True:
            if await self._look():
                return
            await asyncio.sleep(_RETRY_S)

    async def watch(self) -> None:
        """Look again from time to time, for ever; cancelled at the end."""
        while not self._settings.allow_plaintext:
            await asyncio.sleep(_LOOK_S if self._problem is None else _RETRY_S)
            await self._look()

    async def _look(self) -> bool:
        if self._settings.allow_plaintext:
            return True
        try:
            # Not in the thread: brokers that are away are given up at once when the process is to end.
            await knock(self._settings)
            missing = await asyncio.to_thread(self._missing)
            problem = f"{KafkaNotAuthorised.code}: {'; '.join(missing)}" if missing else None
        except SallyportError as error:
            problem = f"{error.code}: {error}"
        if problem != self._problem and problem is not None:
            log.error("kafka_shut", reason=problem)
        elif problem is None and self._problem is not None:
            log.info("kafka_open")
        self._problem = problem
        return problem is None

    def _missing(self) -> list[str]:
        timeout_ms = self._settings.kafka_request_timeout_ms
        client = _admin_client(self._settings, self._settings.instance or "sallyport", timeout_ms)
        try:
            return [*self._topics_shut(client), *self._groups_shut(client), *self._transactions_shut(client)]
        except KafkaError as error:
            found = refusal(error, "Kafka does not say what is allowed")
            raise found or BrokerUnavailable(f"Kafka does not say what is allowed: {type(error).__name__}") from error
        finally:
            client.close()

    def _topics_shut(self, client: KafkaAdminClient) -> list[str]:
        shut: list[str] = []
        for found in client.describe_topics(sorted(self._topics)):
            name = found["name"]
            wanted = self._topics[name]
            if found["error_code"] == _UNKNOWN_TOPIC:
                shut.append(f"topic {name} is not there (sallyport topics apply)")
                continue
            allowed = set() if found["error_code"] == _TOPIC_DENIED else set(found["authorized_operations"])
            if lacking := sorted(wanted - allowed):
                shut.append(f"{' and '.join(lacking)} of topic {name}")
        return shut

    def _groups_shut(self, client: KafkaAdminClient) -> list[str]:
        return [f"READ of group {name}" for name in self._groups if not _may_read(client, name)]

    def _transactions_shut(self, client: KafkaAdminClient) -> list[str]:
        shut: list[str] = []
        for name in self._transactional_ids:
            try:
                client.describe_transactions([name])
            except KafkaError as error:
                # Another error is no refusal: one that was not used yet is not found, and a coordinator may be loading.
                if "AuthorizationFailed" in type(error).__name__:
                    shut.append(f"WRITE of transactional id {name}")
        return shut


def _may_read(client: KafkaAdminClient, group: str) -> bool:
    try:
        found: dict[str, Any] = client.describe_groups([group])[group]
    except KafkaError as error:
        if "AuthorizationFailed" in type(error).__name__:
            return False
        raise
    if "AuthorizationFailed" in (found.get("error") or ""):
        return False
    # Of a group that nobody was in yet nothing is said; that we may ask after it comes of the same ACL.
    allowed = found.get("authorized_operations")
    return allowed is None or "READ" in allowed
