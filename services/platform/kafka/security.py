"""How Kafka's doors are locked: TLS with verification, and who we are. One place for all clients."""

from __future__ import annotations

from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from services.platform.errors import ConfigurationError
from services.platform.settings import PlatformSettings
from services.platform.tls import tls_context

__all__ = ["broker_security", "security_options"]


def security_options(settings: PlatformSettings) -> dict[str, Any]:
    """What aiokafka's clients and kafka-python's take, by the same names.

    Raises ConfigurationError: a setting is missing, contradicts another, or names a file that is of no use.
    """
    if settings.allow_plaintext:
        if settings.kafka_username:
            # Who set both would believe in a login that never happens.
            raise ConfigurationError("SALLYPORT_ALLOW_PLAINTEXT and SALLYPORT_KAFKA_USERNAME contradict: unset one")
        return {"security_protocol": "PLAINTEXT"}
    for name, value in (
        ("SALLYPORT_KAFKA_USERNAME", settings.kafka_username),
        ("SALLYPORT_KAFKA_PASSWORD", settings.kafka_password.get_secret_value()),
    ):
        if not value:
            raise ConfigurationError(
                f"{name} is missing: Kafka is reached by SASL_SSL (SALLYPORT_ALLOW_PLAINTEXT=true for development)"
            )
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": tls_context(settings.kafka_ca_file, "SALLYPORT_KAFKA_CA_FILE"),
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_username,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
    }


def broker_security(settings: PlatformSettings) -> BaseSecurity | None:
    """The same for FastStream's broker, which takes no options but an object of its own. Raises as above."""
    options = security_options(settings)
    if options["security_protocol"] == "PLAINTEXT":
        return None
    kinds = {"SCRAM-SHA-512": SASLScram512, "SCRAM-SHA-256": SASLScram256, "PLAIN": SASLPlaintext}
    kind = kinds[options["sasl_mechanism"]]
    return kind(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        ssl_context=options["ssl_context"],
    )
