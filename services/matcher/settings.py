"""Settings of the matcher."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from services.matcher.domain.feeds.terms import FeedTerms
from services.matcher.domain.terms import Terms
from services.platform.settings import PlatformSettings

__all__ = ["MatcherSettings"]


class MatcherSettings(PlatformSettings):
    """What the matcher needs beyond the platform's settings."""

    group_id: str = Field(default="sallyport-matcher", description="Consumer group, and prefix of transactional ids.")
    group_instance_id: str = Field(
        default="",
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Static membership: the place of this instance in the consumer group, another one for each, kept "
        "over a restart; back within session_timeout_ms it has its partitions again, and no other lost any. Empty: "
        "dynamic membership.",
    )
    look_back_days: int = Field(
        default=30, ge=0, description="A detainer lodged at most so many days after a release is told of it (rule 11)."
    )
    retention_days: int = Field(
        default=90,
        ge=0,
        description="Days after the end of an episode, and after the last that was heard of it, until it is put "
        "away; at least look_back_days.",
    )
    hold_hours: float = Field(
        default=48, gt=0, description="Hours that an immigration hold is lawful: 8 CFR 287.7(d) (rule 15)."
    )
    over_detention_hours: float = Field(
        default=24, gt=0, description="Hours in custody beyond the scheduled release after which an alert is told."
    )
    expiry_warning_days: float = Field(
        default=7, ge=0, description="Days before a detainer lapses at which both sides are told (rule 20)."
    )
    inferred_stands_hours: float = Field(
        default=26, ge=0, description="Hours after which an inferred release that nothing contradicts stands (rule 10)."
    )
    settle_minutes: float = Field(
        default=15,
        ge=0,
        description="Minutes after a fact was accepted in which nothing is told that time alone brings about: a feed "
        "that catches up sends what came next a moment later.",
    )
    breaker_share: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="Share of its population that a facility may release within the window; beyond it, its feed is "
        "stopped (rule 19).",
    )
    breaker_window_minutes: int = Field(default=60, ge=1, description="Minutes of that window.")
    breaker_at_least: int = Field(default=10, ge=1, description="Releases below which no feed is stopped.")
    breaker_round_seconds: float = Field(
        default=5,
        ge=0,
        description="Seconds that what rests on a release waits where the releases that one partition counts could be "
        "part of a mass: until the counts of all partitions have gone round.",
    )
    silent_floor_minutes: float = Field(
        default=60, gt=0, description="Minutes of silence below which no feed is called silent."
    )
    silent_factor: float = Field(
        default=3, gt=0, description="A feed is silent after so many times its usual gap between two messages."
    )
    default_time_zone: str = Field(
        default="America/New_York", description="IANA time zone of a facility that the registry does not know."
    )
    clock_skew_limit_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds by which the clock of this machine may leap before it is not believed any more.",
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

    @model_validator(mode="after")
    def _remembers_long_enough(self) -> Self:
        if self.retention_days < self.look_back_days:
            raise ValueError("retention_days: at least look_back_days, or late detainers would meet nobody")
        return self

    @property
    def terms(self) -> Terms:
        """The spans of time as the fold wants them."""
        return Terms(
            look_back=timedelta(days=self.look_back_days),
            retention=timedelta(days=self.retention_days),
            hold=timedelta(hours=self.hold_hours),
            over_detention=timedelta(hours=self.over_detention_hours),
            expiry_warning=timedelta(days=self.expiry_warning_days),
            inferred_stands=timedelta(hours=self.inferred_stands_hours),
            settle=timedelta(minutes=self.settle_minutes),
        )

    @property
    def feed_terms(self) -> FeedTerms:
        """When a feed is stopped, and when it is silent."""
        window = timedelta(minutes=self.breaker_window_minutes)
        return FeedTerms(
            share=self.breaker_share,
            window=window,
            at_least=self.breaker_at_least,
            round=timedelta(seconds=self.breaker_round_seconds),
            keep=max(FeedTerms().keep, window),
            floor=timedelta(minutes=self.silent_floor_minutes),
            factor=self.silent_factor,
        )
