"""The one hierarchy of errors. Each class says whether trying again can help, under which code its input is kept
in rejects.v1 or answered over HTTP, and whether an operator has to look."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BrokerUnavailable",
    "ConfigurationError",
    "ContractViolation",
    "Fenced",
    "Forbidden",
    "GroupInUse",
    "InstanceIdTaken",
    "KafkaLoginRefused",
    "KafkaNotAuthorised",
    "KafkaNotTrusted",
    "SallyportError",
    "Unauthenticated",
    "Unavailable",
]


class SallyportError(Exception):
    """Base of every error that Sallyport raises on purpose.

    code: reason code, stable, in snake case; the same in rejects.v1, in problem+json and in logs.
    retryable: the same call may succeed later without anything being changed.
    alert: somebody has to look.

    The message is for people, and carries no personal data: it ends up in logs.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    alert: ClassVar[bool] = True


class ConfigurationError(SallyportError):
    """A setting is missing or makes no sense; the process cannot start."""

    code = "configuration"


class ContractViolation(SallyportError):
    """Input that is not what the contract says.

    `reason` is the code of this one violation, `field` the JSON path, header or column at fault.
    """

    code = "contract_violation"
    alert = False

    def __init__(self, reason: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.field = field


class Unauthenticated(SallyportError):
    """No API key, or one that no active source has."""

    code = "unauthenticated"
    alert = False


class Forbidden(SallyportError):
    """The source is known, and may not speak for what it named."""

    code = "forbidden"
    alert = False


class Unavailable(SallyportError):
    """Something this service stands on does not answer now. `retry_after_s` is what the caller is told to wait."""

    code = "unavailable"
    retryable = True

    def __init__(self, detail: str, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BrokerUnavailable(Unavailable):
    """Kafka did not take the records within their time."""

    code = "broker_unavailable"


class KafkaNotTrusted(BrokerUnavailable):
    """A broker's certificate is not one that is trusted, is of another host name, or there is no TLS at all."""

    code = "kafka_not_trusted"


class KafkaLoginRefused(BrokerUnavailable):
    """The brokers do not take this user with this password, or not by this mechanism."""

    code = "kafka_login_refused"


class KafkaNotAuthorised(BrokerUnavailable):
    """The login is good, and an ACL is missing; the message names the resource. Once it is granted, all goes on."""

    code = "kafka_not_authorised"


class Fenced(SallyportError):
    """Another instance owns this partition now; whatever was under way here must not be published (G3)."""

    code = "fenced"
    alert = False


class GroupInUse(SallyportError):
    """A consumer group has members: the service runs whose offsets, or state, a command was to change."""

    code = "group_in_use"
    alert = False


class InstanceIdTaken(Fenced):
    """Another process has joined the consumer group under our `group_instance_id`; this one has to end."""

    code = "instance_id_taken"
    alert = True
