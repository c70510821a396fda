"""Settings of the notifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.platform.settings import PlatformSettings

__all__ = ["NotifierSettings"]


class NotifierSettings(PlatformSettings):
    """What the notifier needs beyond the platform's settings."""

    database_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("SALLYPORT_DATABASE_URL", "DATABASE_URL", "database_url"),
        description="PostgreSQL, as postgresql://user:password@host:port/name.",
    )
    database_ca_file: str = Field(
        default="", description="CA certificates (PEM) to trust for PostgreSQL; empty: the system's."
    )
    database_pool_size: int = Field(default=8, ge=2, description="Connections to PostgreSQL.")
    migrate_on_start: bool = Field(
        default=False, description="Bring the database up to date at the start; for development, with one instance."
    )
    secrets_keys: Annotated[list[SecretStr], NoDecode] = Field(
        default=[],
        description="Fernet keys, separated by commas or line breaks, for webhook secrets at rest: the first encrypts, "
        "all decrypt.",
    )
    group_id: str = Field(default="sallyport-notifier", description="Consumer group.")
    max_poll_records: int = Field(default=500, ge=1, description="Most conflict versions taken from Kafka at once.")
    session_timeout_ms: int = Field(
        default=10_000, ge=1000, description="Milliseconds without a heartbeat after which our partitions go to others."
    )
    max_in_flight: int = Field(default=512, ge=1, description="Webhooks under way at once, over all endpoints.")
    max_in_flight_email: int = Field(
        default=16, ge=1, description="E-mails under way at once, each with a connection to the mail server of its own."
    )
    max_in_flight_per_endpoint: int = Field(
        default=128, ge=1, description="Deliveries under way at once to one endpoint."
    )
    webhook_deadline_s: float = Field(
        default=15.0,
        gt=0,
        description="Seconds for one attempt: name look-up, connection, request and answer together.",
    )
    lease_margin_s: float = Field(
        default=15.0,
        gt=0,
        description="Seconds beyond the deadline after which an attempt without an outcome is given up.",
    )
    response_limit_bytes: int = Field(default=16_384, ge=0, description="Most bytes read of an endpoint's answer.")
    breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row after which an endpoint gets one attempt at a time."
    )
    retry_scale: float = Field(
        default=1.0, gt=0, description="Factor on every pause of the retry schedule; below 1 only in tests."
    )
    expire_after_days: float = Field(
        default=7.0, ge=3.0, description="A delivery that was never taken is given up so many days after it was made."
    )
    poll_s: float = Field(
        default=0.5, gt=0, description="Seconds between two looks for deliveries whose time has come."
    )
    allow_private_endpoints: bool = Field(
        default=False, description="Development: deliver to loopback and private addresses too."
    )
    allow_plain_http: bool = Field(default=False, description="Development: accept webhook URLs without TLS.")
    smtp_host: str = Field(default="", description="Mail server; empty: no e-mail, and no e-mail subscriptions.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_username: str = Field(default="", description="User at the mail server; empty: no login.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password at the mail server.")
    smtp_starttls: bool = Field(default=True, description="Require STARTTLS; off in development only.")
    smtp_ca_file: str = Field(
        default="", description="CA certificates to trust for the mail server; empty: the system's."
    )
    smtp_deadline_s: float = Field(default=30.0, gt=0, description="Seconds for one attempt by e-mail.")
    mail_from: str = Field(default="sallyport@localhost", description="Sender of notices by e-mail.")
    public_url: str = Field(
        default="http://127.0.0.1", description="Where agencies reach this API; e-mails point there."
    )

    @field_validator("secrets_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.replace(",", " ").split() if isinstance(value, str) else value
