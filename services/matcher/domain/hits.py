"""Which pairs there are, and what their identities are: a detainer and an episode whose people may be one.

The identity of a pair is a function of the two records and of the model, and of nothing else (G2, G7). It is asked for
when either side changes, and when the model does.
"""

from __future__ import annotations

from hashlib import blake2b

from contracts.types.common import Tier
from contracts.types.conflict import Identity
from contracts.types.person import Person
from services.matcher.domain.book import Entry
from services.matcher.domain.episode import Episode
from services.matcher.domain.identity.engine import Prepared
from services.matcher.domain.identity.normalise import bare
from services.matcher.domain.partition import NOBODY, Pair, PartitionState
from services.matcher.domain.rules import capped

__all__ = ["evidence_id", "identify", "meet"]


def evidence_id(identity: Identity, wanted: Person, held: Person) -> str:
    """Names what speaks for and against a hit: the outcomes and the vetoes, whatever their weights, and the values of
    the identifiers that were compared, since a changed one is new evidence. A decision taken on it holds while it stays
    the same, under another model too.

    Nobody reads a number in it; short ones can be guessed from a hash, so it is as secret as the review that has both.
    """
    lines = [*(f"{e.field}\x1f{e.outcome}" for e in identity.evidence), *identity.vetoes]
    sides = [{i for i in map(bare, person.identifiers) if i is not None} for person in (wanted, held)]
    common = set.intersection(*({(i.kind, i.issuer) for i in side} for side in sides))
    for side in sides if common else ():
        lines.append("")
        lines += ["\x1f".join(i) for i in sorted(side) if (i.kind, i.issuer) in common]
    return blake2b("\x1e".join(lines).encode(), digest_size=16, person=b"evidence").hexdigest()


def identify(state: PartitionState, episode: Episode, person: Prepared, changed: set[str]) -> None:
    """Ask anew which detainers may be lodged on the episode's person. changed: gets its id if a pair changed."""
    found = {c.record_id: c.identity for c in state.book.search(person)}
    for detainer_id in sorted(found.keys() | state.pairs.get(episode.id, {}).keys()):
        entry = state.book.get(detainer_id)
        if entry is not None:
            identity = found.get(detainer_id) or _alone(state, state.book.prepared(entry), person)
            _pair(state, episode, entry, identity, changed)


def meet(state: PartitionState, entry: Entry, changed: set[str]) -> list[str]:
    """Ask anew which episodes may be of the detainer's person; all that have a pair with it now, in order.

    changed: gets the ids of those whose pair changed.
    """
    detainer_id = entry.detainer.detainer_id
    wanted = state.book.prepared(entry)
    found = {c.record_id: c.identity for c in state.search(wanted)}
    met = sorted(found.keys() | state.paired_with(detainer_id))
    for episode_id in met:
        episode = state.episodes[episode_id]
        identity = found.get(episode_id) or _alone(state, wanted, state.prepared(episode))
        _pair(state, episode, entry, identity, changed)
    return met


def _alone(state: PartitionState, one: Prepared, other: Prepared) -> Identity:
    """The identity of a known pair that a search has not found: mostly NONE.

    Asked of the two alone. A search leaves out blocks that have grown too large, and what else is in an index must not
    take back what these two records say (G2).
    """
    index = state.ground.engine.new_index()
    index.put("", one)
    for candidate in index.search(other):
        return candidate.identity
    return Identity(tier=Tier.NONE, model=state.ground.engine.model)


def _pair(state: PartitionState, episode: Episode, entry: Entry, identity: Identity, changed: set[str]) -> None:
    detainer_id, wanted, held = entry.detainer.detainer_id, entry.detainer.person, episode.view.person or NOBODY
    identity = capped(identity, entry.detainer, held)
    evidence = evidence_id(identity, wanted, held)
    pair = state.pairs.get(episode.id, {}).get(detainer_id)
    if pair is None:
        state.link(episode.id, detainer_id, Pair(identity=identity, evidence=evidence))
    elif (pair.identity, pair.evidence) == (identity, evidence):
        return
    else:
        pair.identity, pair.evidence = identity, evidence
    changed.add(episode.id)
