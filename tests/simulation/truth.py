"""What must have been said in the end, from all facts at once (docs/lifecycle.md, DOMAIN.md).

An independent model: no state, no increments, nothing of the matcher. It looks at everything that ingest accepted and
answers for each (detainer, custody episode) pair. Slow on purpose, and short enough to be checked by reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import product

from contracts.types.common import Tier
from contracts.types.conflict import Decision, RetractionReason, ReviewDecision, Stage
from contracts.types.detainer import Detainer, DetainerType
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Person
from tests.simulation.truth_episode import Said, episode_of, people_ever, stopped_by
from tests.simulation.truth_standing import DEFAULT_TERMS, Expected, Terms, standing

__all__ = ["DEFAULT_TERMS", "Expected", "Pair", "Said", "Terms", "Truth", "truth"]

Pair = tuple[str, str]
"""(detainer id, episode id)."""
SamePerson = Callable[[Person, Person], Tier]
"""How sure it is that the person held (first) is the person wanted: by the history's design, and not by the engine."""
EvidenceOf = Callable[[Detainer, str, Person], str | None]
"""The evidence_id of a detainer beside an episode (its id) whose person is as given; None where it is not known."""


@dataclass(frozen=True)
class Truth:
    """conflicts: pairs that stand, closed ones among them. Of any other pair nothing was told, or `retracted` was told
    last; gone: the reason that the facts as they are now give for that, where there is one (an earlier version may have
    been retracted for another). reviews: open ones, with the stage that they wait at. withheld: pairs whose standing
    rests on a release that a breaker holds back, so that what was told last depends on the order of the inputs. lost:
    pairs of which nothing may stand, with or without such releases.
    """

    conflicts: dict[Pair, Expected]
    gone: dict[Pair, RetractionReason]
    reviews: dict[Pair, Stage]
    withheld: frozenset[Pair]
    lost: frozenset[Pair]
    _tellable: Callable[[Pair], bool] = field(repr=False)

    def ever_notifiable(self, pair: Pair) -> bool:
        """Whether there is an order of the inputs in which the identity of this pair is good enough to be told (G5)."""
        return self._tellable(pair)


def truth(
    facts: Iterable[Said],
    detainers: Iterable[Detainer],
    decisions: Iterable[ReviewDecision],
    breakers: Iterable[Breaker],
    *,
    same_person: SamePerson,
    now: datetime,
    zones: Mapping[str, str],
    evidence_of: EvidenceOf = lambda *_: None,
    terms: Terms = DEFAULT_TERMS,
) -> Truth:
    """The truth at `now`.

    facts, detainers, decisions, breakers: all that was ever accepted, versions of one thing and repeats among them, in
    any order. zones: the IANA time zone of each facility.
    """
    episodes: dict[str, list[Said]] = defaultdict(list)
    for fact in facts:
        episodes[fact.episode_id].append(fact)
    versions: dict[str, list[Detainer]] = defaultdict(list)
    for detainer in detainers:
        versions[detainer.detainer_id].append(detainer)
    decided = list(decisions)
    pairs_decided = {(d.detainer_id, d.episode_id) for d in decided}
    stops = _newest_of_each(breakers)
    tripped = [b for b in stops if b.state is BreakerState.TRIPPED]
    found: dict[Pair, Expected | RetractionReason | Stage] = {}
    withheld: set[Pair] = set()
    lost: set[Pair] = set()

    def answer(detainer: Detainer, said: Sequence[Said]) -> Expected | RetractionReason | Stage:
        episode = episode_of(said, stops)
        outcome = standing(detainer, episode, zones[episode.facility], now, terms)
        if episode.person is None:
            return _answer(outcome, Tier.NONE, None)
        pair = (detainer.detainer_id, episode.episode_id)
        evidence = evidence_of(detainer, pair[1], episode.person) if pair in pairs_decided else None
        verdicts = _decisions_on(pair, evidence, decided)
        verdict = max(verdicts, key=lambda d: (d.decided_at, d.decision_id)).decision if verdicts else None
        return _answer(outcome, _tier(detainer, episode.person, same_person), verdict)

    def tellable(pair: Pair) -> bool:
        for wanted, held in product(versions[pair[0]], people_ever(episodes[pair[1]])):
            tier = _tier(wanted, held, same_person)
            if tier in (Tier.CONFIRMED, Tier.PROBABLE):
                return True
            verdicts = _decisions_on(pair, evidence_of(wanted, pair[1], held), decided)
            if tier is Tier.POSSIBLE and any(d.decision is Decision.CONFIRM for d in verdicts):
                return True
        return False

    for detainer, (episode, said) in product(map(_newest, versions.values()), episodes.items()):
        pair = (detainer.detainer_id, episode)
        found[pair] = answer(detainer, said)
        sure = [fact for fact in said if not any(stopped_by(stop, fact) for stop in tripped)]
        without = found[pair] if len(sure) == len(said) else answer(detainer, sure) if sure else None
        if not _alike(found[pair], without):
            withheld.add(pair)
        if not isinstance(found[pair], Expected) and not isinstance(without, Expected):
            lost.add(pair)
    return Truth(
        conflicts={pair: said for pair, said in found.items() if isinstance(said, Expected)},
        gone={pair: said for pair, said in found.items() if isinstance(said, RetractionReason)},
        reviews={pair: said for pair, said in found.items() if isinstance(said, Stage)},
        withheld=frozenset(withheld),
        lost=frozenset(lost),
        _tellable=tellable,
    )


def _alike(one: object, other: object) -> bool:
    """Whether two answers leave the same to be told: all retractions are alike, and like nothing."""
    silent = (RetractionReason, type(None))
    return one == other or (isinstance(one, silent) and isinstance(other, silent))


def _newest(versions: Iterable[Detainer]) -> Detainer:
    """The detainer as it stands; of the same version twice the one accepted first."""
    by_acceptance = sorted(versions, key=lambda d: d.accepted_at)
    return max(by_acceptance, key=lambda d: (d.occurred_at, d.sequence))


def _answer(
    outcome: Expected | RetractionReason | None,
    tier: Tier,
    verdict: Decision | None,
) -> Expected | RetractionReason | Stage:
    """What is told of a pair, by who it is ("Who it is"); a stage alone: a review waits at it."""
    if outcome is None:
        return RetractionReason.CUSTODY_CORRECTED
    if isinstance(outcome, RetractionReason):
        return outcome
    if tier is Tier.NONE:
        return RetractionReason.IDENTITY_CHANGED
    if verdict is Decision.REJECT:
        return RetractionReason.IDENTITY_REJECTED
    if tier is not Tier.POSSIBLE:
        return replace(outcome, tier=tier)
    if verdict is Decision.CONFIRM:
        return replace(outcome, tier=Tier.PROBABLE, reviewed=True)
    # Nobody needs to look at a pair of which nothing is left to do.
    return RetractionReason.IDENTITY_CHANGED if outcome.stage is Stage.CLOSED else outcome.stage


def _tier(detainer: Detainer, held: Person, same_person: SamePerson) -> Tier:
    """How sure it is, with the cap of rule 21."""
    tier = same_person(held, detainer.person)
    claimed = held.us_citizenship_claimed or detainer.person.us_citizenship_claimed
    if detainer.type is DetainerType.IMMIGRATION and claimed and tier is not Tier.NONE:
        return Tier.POSSIBLE
    return tier


def _decisions_on(pair: Pair, evidence: str | None, decided: Iterable[ReviewDecision]) -> list[ReviewDecision]:
    return [d for d in decided if (d.detainer_id, d.episode_id) == pair and d.evidence_id == evidence]


def _newest_of_each(breakers: Iterable[Breaker]) -> list[Breaker]:
    """Each breaker as the operator left it."""
    ordered = sorted(breakers, key=lambda b: b.decided_at or b.tripped_at)
    return list({b.breaker_id: b for b in ordered}.values())
