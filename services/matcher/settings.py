"""Settings of the matcher."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from services.platform.settings import PlatformSettings

__all__ = ["MatcherSettings"]


class MatcherSettings(PlatformSettings):
    """What the matcher needs beyond the platform's settings."""

    group_id: str = Field(default="sallyport-matcher", description="Consumer group, and prefix of transactional ids.")
    look_back_days: int = Field(
        default=30, ge=0, description="A detainer lodged at most so many days after a release is told of it (rule 11)."
    )
    identity_model: Path | None = Field(
        default=None,
        description="File with the parameters of the identity engine (`sallyport identity train`); none: as shipped.",
    )
    identity_search_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of POST /v1/identity/search; none: nobody may search.",
    )
    max_poll_records: int = Field(default=4000, ge=1, description="Most custody events taken from Kafka at once.")
    transaction_max_inputs: int = Field(
        default=1000, ge=1, description="Most inputs judged and published in one transaction."
    )
    transaction_judging_s: float = Field(
        default=0.25,
        gt=0,
        description="Seconds of judging after which a transaction is closed although more waits: with a backlog on all "
        "partitions, what comes in on one is told after so long, times the partitions owned.",
    )
    inbox_limit: int = Field(
        default=8000, ge=1, description="Inputs that may wait for one partition before the consumer is held back."
    )
    progress_flush_s: float = Field(
        default=5.0, gt=0, description="Seconds after which progress that led to no output is written all the same."
    )
    revoke_budget_s: float = Field(
        default=5.0, gt=0, description="Seconds that a rebalance waits for transactions in hand; then they are aborted."
    )
    fenced_retry_s: float = Field(
        default=15.0,
        gt=0,
        description="Seconds after which a partition lost to another, and still assigned here, is taken up again.",
    )
    session_timeout_ms: int = Field(
        default=10_000,
        ge=1000,
        description="Milliseconds without a heartbeat after which our partitions go to others.",
    )
    restore_retry_s: float = Field(
        default=1.0, gt=0, description="Seconds between two attempts to restore a partition."
    )
