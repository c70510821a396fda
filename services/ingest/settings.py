"""Settings of ingest."""

from __future__ import annotations

from pydantic import Field

from services.platform.settings import PlatformSettings

__all__ = ["IngestSettings"]

MIB = 1024 * 1024


class IngestSettings(PlatformSettings):
    """What ingest needs beyond the platform's settings."""

    kafka_request_timeout_ms: int = Field(
        default=5_000,
        ge=100,
        description="How long one request to a broker, or the acknowledgement of a record, may take, in milliseconds. "
        "A sender waits so long at most, and is then told 503.",
    )
    max_body_bytes: int = Field(
        default=8 * MIB, ge=1024, description="Largest body of /v1/events and /v1/detainers, in bytes as it is sent."
    )
    max_inflated_bytes: int = Field(
        default=32 * MIB, ge=1024, description="Largest such body after gzip is undone, in bytes."
    )
    max_batch_events: int = Field(default=2_000, ge=1, description="Most events, or commands, in one batch.")
    max_future_hours: float = Field(
        default=24.0,
        ge=0,
        description="An occurred_at further ahead of our clock than so many hours is refused: a wrong clock or a typo.",
    )
    max_roster_bytes: int = Field(
        default=16 * MIB, ge=1024, description="Largest roster file, in bytes as it is sent (plain or gzip)."
    )
    max_roster_inflated_bytes: int = Field(
        default=128 * MIB, ge=1024, description="Largest roster file after gzip is undone, in bytes."
    )
    roster_timeout_s: float = Field(
        default=60.0, gt=0, description="Seconds within which a snapshot is compared and written, or refused with 503."
    )
    roster_remember_days: int = Field(
        default=400,
        ge=1,
        description="Days for which somebody who left a roster is remembered, so that an inferred release can be "
        "taken back when he shows up again.",
    )
    linger_ms: int = Field(
        default=0, ge=0, description="Milliseconds that a batch to Kafka waits for company; see services/platform/kafka"
    )
