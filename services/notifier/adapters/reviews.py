"""Reviews from Kafka into the table that reviewers read from."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from contracts.ids import conflict_id, episode_id
from contracts.types.common import within_years
from contracts.types.conflict import Review, ReviewId
from services.notifier.adapters.postgres import reviews as store
from services.notifier.adapters.postgres.pool import Pool
from services.notifier.adapters.postgres.reviews import Kept
from services.notifier.adapters.taking import LARGEST_VERSION, Taken, Taking
from services.notifier.metrics import REVIEWS
from services.platform.kafka.outlets import Outlet
from services.platform.tracing import Value

__all__ = ["ReviewIntake"]

_decode = msgspec.json.Decoder(Review).decode


class ReviewIntake(Taking[Kept]):
    """Handler of reviews.v1: the newest version of each review is kept, whole; one taken off the topic is forgotten."""

    reason = "review_unreadable"

    def __init__(
        self, pool: Callable[[], Pool], consumer: Callable[[], AIOKafkaConsumer | None], rejects: Outlet
    ) -> None:
        super().__init__(consumer, rejects)
        self._pool = pool

    def readable(self, record: ConsumerRecord) -> Kept:
        if record.value is None:  # a compacted topic's way to say that it is gone
            return Kept(msgspec.convert((record.key or b"").decode(), ReviewId), None)
        review = _decode(record.value)
        within_years(decided_at=review.decided_at)
        if review.version > LARGEST_VERSION:
            raise ValueError("version: larger than the database takes")
        return Kept(review.review_id, review, episode_of(review), record.value)

    def about(self, item: Kept) -> dict[str, Value]:
        review = item.review
        if review is None:
            return {"sallyport.review_id": item.review_id}
        return {
            "sallyport.review_id": item.review_id,
            "sallyport.conflict_id": review.conflict_id,
            "sallyport.stage": str(review.stage),
            "sallyport.detainer_id": review.detainer.detainer_id,
        }

    async def write(self, taken: list[Taken[Kept]]) -> None:
        items = [one.item for one in taken]
        await store.keep(self._pool(), items)
        for kept in items:
            if kept.review is not None:
                REVIEWS.labels(kept.review.status).inc()


def episode_of(review: Review) -> str:
    """The custody episode that a decision has to name: a review says it as the record of its custody side, by id or by
    booking number, and its conflict's id says whether it is that one.

    Raises ValueError: it is neither, and nobody could decide on it.
    """
    side = review.custody_side
    for episode in (side.record, episode_id(side.where, side.record)):
        if conflict_id(review.detainer.detainer_id, episode) == review.conflict_id:
            return episode
    raise ValueError("custody_side.record: not the custody episode of the conflict")
