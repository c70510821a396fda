"""Settings that every service has, and where they come from.

In this order: the environment (`SALLYPORT_` and the field's name), a file that `SALLYPORT_<NAME>_FILE` names, a file
with the field's name in the directory `SALLYPORT_SECRETS_DIR`, `.env`, the default.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.platform.secret_files import FilesSource

__all__ = ["PlatformSettings"]


class PlatformSettings(BaseSettings):
    """What a service needs whatever it does. Every field has its unit in its name or says it."""

    model_config = SettingsConfigDict(
        env_prefix="SALLYPORT_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        validation_alias=AliasChoices(
            "SALLYPORT_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS", "kafka_bootstrap_servers"
        ),
        description="Brokers, as host:port, comma-separated.",
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Development: talk to Kafka and PostgreSQL without TLS and login. Otherwise Kafka is SASL_SSL, and "
        "PostgreSQL TLS with its certificate and host name verified.",
    )
    kafka_username: str = Field(default="", description="User at the brokers; needed unless plain text is allowed.")
    kafka_password: SecretStr = Field(
        default=SecretStr(""), description="Password at the brokers; needed unless plain text is allowed."
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        default="SCRAM-SHA-512", description="How the user is proven to the brokers; always inside TLS."
    )
    kafka_ca_file: str = Field(
        default="", description="CA certificates (PEM) to trust for the brokers; empty: the system's."
    )
    kafka_request_timeout_ms: int = Field(
        default=10_000,
        ge=100,
        description="How long one request to a broker, or the acknowledgement of a record, may take, in milliseconds.",
    )
    http_host: str = Field(default="127.0.0.1", description="Address that the HTTP edge listens on.")
    http_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the HTTP edge; 0 takes a free one, which the log names.",
    )
    drain_deadline_s: float = Field(
        default=20.0,
        gt=0,
        description="After SIGTERM: seconds within which work in hand is finished; then the process ends.",
    )
    stall_after_s: float = Field(
        default=30.0,
        gt=0,
        description="A consumer with a backlog that has not moved for so many seconds fails /livez.",
    )
    probe_interval_s: float = Field(
        default=5.0, gt=0, description="Seconds between two looks at the end offsets (lag, liveness)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    otlp_endpoint: str = Field(
        default="",
        description="Where traces go: base URL of an OTLP receiver (http/protobuf), such as http://collector:4318; "
        "empty: no traces.",
    )
    otlp_headers: SecretStr = Field(
        default=SecretStr(""),
        description="Headers for that receiver, such as authorization=Bearer%20TOKEN; comma-separated, values may be "
        "percent-encoded.",
    )
    otlp_ca_file: str = Field(
        default="", description="CA certificates (PEM) to trust for that receiver; empty: those of Python's certifi."
    )
    trace_sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the traces begun here that are recorded, from 0 to 1. What a sender decided is followed.",
    )
    instance: str = Field(
        default="",
        description="Name of this instance in logs and client ids; empty: host name and process id.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of the module's docstring. Arguments of the constructor come before all of them."""
        return init_settings, env_settings, FilesSource(settings_cls), dotenv_settings
