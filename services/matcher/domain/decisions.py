"""What reviewers decided: the newest decision on each evidence of each pair. Held whole by every instance, like
detainers, since a review's key does not tell whose partition its episode is in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from contracts.types.conflict import ReviewDecision, ReviewOutcome
from services.matcher.domain.changes import Changes

__all__ = ["DecisionBook", "age"]

Pair = tuple[str, str]


class DecisionBook:
    """Written by whoever reads review.decisions.v1, read by every partition's fold."""

    def __init__(self) -> None:
        self._by_pair: dict[Pair, dict[str, ReviewDecision]] = {}
        self._changes: Changes[Pair] = Changes()

    def __len__(self) -> int:
        return len(self._by_pair)

    def put(self, decision: ReviewDecision, partition: int, offset: int) -> bool:
        """Take a decision in; False if one on the same evidence is as new or newer, by (decided_at, decision_id)."""
        pair = (decision.detainer_id, decision.episode_id)
        known = self._by_pair.setdefault(pair, {})
        before = known.get(decision.evidence_id)
        if before is not None and age(before) >= age(decision):
            return False
        known[decision.evidence_id] = decision
        self._changes.note(pair, partition, offset)
        return True

    def on(self, detainer_id: str, episode_id: str) -> Mapping[str, ReviewDecision]:
        """Evidence id -> decision, of a pair."""
        return self._by_pair.get((detainer_id, episode_id), {})

    def since(self, judged: Mapping[int, int]) -> list[Pair]:
        """(detainer, episode) of what was read at or after `judged` (partition -> next offset), oldest first."""
        return self._changes.since(judged)


def age(decision: ReviewDecision | ReviewOutcome) -> tuple[datetime, str]:
    """Which of two decisions on the same evidence is the newer."""
    return (decision.decided_at, decision.decision_id)
