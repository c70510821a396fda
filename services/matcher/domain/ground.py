"""What every partition of an instance judges by: whatever all of them read whole, and the terms."""

from __future__ import annotations

from services.matcher.domain.book import DetainerBook
from services.matcher.domain.decisions import DecisionBook
from services.matcher.domain.feeds.book import FeedBook
from services.matcher.domain.feeds.breaker import BreakerBook
from services.matcher.domain.feeds.terms import FeedTerms
from services.matcher.domain.identity.engine import IdentityEngine
from services.matcher.domain.terms import Places, Terms

__all__ = ["Ground"]


class Ground:
    """Written by whoever reads the topics; the folds of the partitions only read it."""

    def __init__(
        self,
        engine: IdentityEngine,
        terms: Terms | None = None,
        places: Places | None = None,
        feed_terms: FeedTerms | None = None,
    ) -> None:
        self.engine = engine
        self.terms = terms or Terms()
        self.places = places or Places()
        self.feed_terms = feed_terms or FeedTerms()
        self.detainers = DetainerBook(engine)
        self.decisions = DecisionBook()
        self.breakers = BreakerBook()
        self.feeds = FeedBook()
