"""Who may do what on Kafka, derived from contracts/topics.yaml, and applied with kafka-python's admin client.

No principal gets more than it needs: Write or Read on each topic that says so, its groups and transactional ids; the
operator what provisioning takes. Describe comes with Read, Write and Alter, and an idempotent producer needs nothing
beyond Write on a topic (KIP-679; shown by tests/integration/security).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError
from msgspec import Struct

from contracts.catalog import AccessSpec, TopicSpec
from services.platform.errors import BrokerUnavailable, ConfigurationError
from services.platform.kafka.doors import admin_client, refusal
from services.platform.settings import PlatformSettings

__all__ = ["AclAdmin", "Binding", "bindings_of", "default_principals", "plan_acls"]

CLUSTER: Final = "kafka-cluster"
"""Kafka's own name of the one resource that is the cluster."""
Kind = Literal["topic", "group", "transactional_id", "cluster"]


class Binding(Struct, frozen=True, order=True):
    """One permission. prefixed: for every name that begins with `name`. principal: as Kafka has it, `User:name`."""

    principal: str
    kind: str
    name: str
    operation: str
    prefixed: bool = False


def default_principals(access: Mapping[str, AccessSpec]) -> dict[str, str]:
    """Short name -> `User:sallyport-<short name>`."""
    return {name: f"User:sallyport-{name}" for name in access}


def bindings_of(
    name: str, principal: str, topics: Mapping[str, TopicSpec], access: Mapping[str, AccessSpec]
) -> frozenset[Binding]:
    """All that the one called `name` in topics.yaml needs, for `principal`. Pure."""
    found: set[Binding] = set()
    for topic, spec in topics.items():
        if name in spec.writers:
            found.add(Binding(principal, "topic", topic, "WRITE"))
        if name in spec.readers:
            found.add(Binding(principal, "topic", topic, "READ"))
    own = access.get(name, AccessSpec())
    found |= {Binding(principal, "topic", topic, "READ") for topic in own.reads}
    for kind, operation, names in (("group", "READ", own.groups), ("transactional_id", "WRITE", own.transactional_ids)):
        for each in names:
            found.add(Binding(principal, kind, each.removesuffix("*"), operation, each.endswith("*")))
    if "topics" in own.manages:
        for topic in topics:
            for operation in ("CREATE", "DESCRIBE", "ALTER", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"):
                found.add(Binding(principal, "topic", topic, operation))
    if "acls" in own.manages:
        found.update(Binding(principal, "cluster", CLUSTER, operation) for operation in ("DESCRIBE", "ALTER"))
    return frozenset(found)


def plan_acls(
    topics: Mapping[str, TopicSpec], access: Mapping[str, AccessSpec], principals: Mapping[str, str]
) -> frozenset[Binding]:
    """Every binding of every principal. principals: short name -> `User:name`. Pure.

    Raises ConfigurationError: a principal that topics.yaml does not know, or no `Type:name`.
    """
    for name, principal in principals.items():
        if name not in access:
            raise ConfigurationError(f"{name}: not one of {', '.join(access)}")
        if not all(principal.partition(":")):
            raise ConfigurationError(f"{name}={principal}: want a principal such as User:sallyport-{name}")
    return frozenset().union(*(bindings_of(name, who, topics, access) for name, who in principals.items()))


class AclAdmin:
    """The cluster's side. A context manager, since the client has threads and sockets.

    Raises BrokerUnavailable, or what `doors` says of a login or a certificate.
    """

    def __init__(self, settings: PlatformSettings, *, timeout_ms: int = 10_000) -> None:
        self._timeout_ms = timeout_ms
        self._client: KafkaAdminClient = admin_client(settings, "sallyport-acls", timeout_ms)

    def __enter__(self) -> AclAdmin:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def existing(self, principals: Iterable[str]) -> frozenset[Binding]:
        """What the principals are allowed now, from any host. Denials, and other hosts, are an operator's own.

        Raises ConfigurationError: the cluster has no authorizer. And as the class.
        """
        found: set[Binding] = set()
        for principal in sorted(set(principals)):
            try:
                acls, _ = self._client.describe_acls(_filter(principal))
            except KafkaError as error:
                raise _failed(error, "ACLs could not be read") from error
            found.update(map(_binding, filter(_is_ours, acls)))
        return frozenset(found)

    def apply(self, wanted: frozenset[Binding], existing: frozenset[Binding]) -> None:
        """Make what is missing, then take away what is too much; return once the cluster shows it. Raises as above.

        Missing first: whoever has a connection keeps what it needs throughout.
        """
        try:
            if create := sorted(wanted - existing):
                done = self._client.create_acls([_acl(binding) for binding in create])
                if done["failed"]:
                    raise done["failed"][0]("refused")
            if delete := sorted(existing - wanted):
                for _, _, error in self._client.delete_acls([_exact(binding) for binding in delete]):
                    if error.errno:
                        raise error("refused")
        except KafkaError as error:
            raise _failed(error, "ACLs could not be changed") from error
        until = time.monotonic() + self._timeout_ms / 1000
        principals = {binding.principal for binding in wanted | existing}
        while self.existing(principals) != wanted:
            if time.monotonic() > until:
                raise BrokerUnavailable("the ACLs were taken, and the brokers do not show them yet")
            time.sleep(0.05)


def _failed(error: KafkaError, what: str) -> Exception:
    if type(error).__name__ == "SecurityDisabledError":
        return ConfigurationError("the cluster has no authorizer: ACLs would protect nothing")
    return refusal(error, what) or BrokerUnavailable(f"{what}: {type(error).__name__}")


def _filter(principal: str) -> ACLFilter:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(principal, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)


def _is_ours(acl: ACL) -> bool:
    kinds = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID, ResourceType.CLUSTER)
    allowed = acl.permission_type == ACLPermissionType.ALLOW and acl.host == "*"
    return allowed and acl.resource_pattern.resource_type in kinds


def _binding(acl: ACL) -> Binding:
    pattern = acl.resource_pattern
    return Binding(
        acl.principal,
        pattern.resource_type.name.lower(),
        pattern.resource_name,
        acl.operation.name,
        pattern.pattern_type == ACLResourcePatternType.PREFIXED,
    )


def _pattern_type(binding: Binding) -> ACLResourcePatternType:
    return ACLResourcePatternType.PREFIXED if binding.prefixed else ACLResourcePatternType.LITERAL


def _acl(binding: Binding) -> ACL:
    pattern = ResourcePattern(ResourceType[binding.kind.upper()], binding.name, _pattern_type(binding))
    return ACL(binding.principal, "*", ACLOperation[binding.operation], ACLPermissionType.ALLOW, pattern)


def _exact(binding: Binding) -> ACLFilter:
    pattern = ResourcePatternFilter(ResourceType[binding.kind.upper()], binding.name, _pattern_type(binding))
    return ACLFilter(binding.principal, "*", ACLOperation[binding.operation], ACLPermissionType.ALLOW, pattern)
