"""Settings that every service has. From the environment (`SALLYPORT_` and the field's name) or a `.env` file."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["PlatformSettings"]


class PlatformSettings(BaseSettings):
    """What a service needs whatever it does. Every field has its unit in its name or says it."""

    model_config = SettingsConfigDict(env_prefix="SALLYPORT_", env_file=".env", extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        validation_alias=AliasChoices(
            "SALLYPORT_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS", "kafka_bootstrap_servers"
        ),
        description="Brokers, as host:port, comma-separated.",
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
    instance: str = Field(
        default="",
        description="Name of this instance in logs and client ids; empty: host name and process id.",
    )
