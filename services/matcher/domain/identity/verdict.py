"""From weights to a tier: what may confirm, what caps, and how sure that is (rule 1; DESIGN, "Identity")."""

from __future__ import annotations

from typing import Final

from contracts.types.common import Tier
from contracts.types.conflict import Evidence, Identity
from services.matcher.domain.identity.compare import Weight, compare
from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Prepared

__all__ = ["judge", "vetoes"]

_FINGERPRINT: Final = ("sid", "ucn")
_IDENTIFIERS: Final = ("sid", "ucn", "a_number", "agency_local", "ssn4")
_SAME_BIRTH: Final = ("exact", "swapped", "one_digit")
_GENERATION_YEARS: Final = 14
"""Birth years of father and son are at least this far apart."""


def vetoes(a: Prepared, b: Prepared, levels: dict[str, str]) -> list[str]:
    """Why this pair must not pass without a person looking at it. A veto caps the tier and hides nothing."""
    found: list[str] = []
    for kind, what in (("sid", "two SIDs of "), ("ucn", "two UCNs")):
        for issuer in sorted({i.issuer for i in a.ids if i.kind == kind} & {i.issuer for i in b.ids if i.kind == kind}):
            mine = {i.value for i in a.ids if i.kind == kind and i.issuer == issuer}
            theirs = {i.value for i in b.ids if i.kind == kind and i.issuer == issuer}
            if mine.isdisjoint(theirs):
                found.append(what + issuer)
    surname, given, birth = (levels.get(field, "") for field in ("surname", "given", "birth_date"))
    if surname in ("exact", "part") and birth == "exact" and given == "differs":
        found.append("twin pattern: surname and birth date agree, given names differ")
    if a.suffixes and b.suffixes and set(a.suffixes).isdisjoint(b.suffixes):
        found.append("Jr/Sr: suffixes differ")
    elif a.suffixes != b.suffixes and given in ("exact", "nickname") and birth in ("differs", "two_parts", "one_digit"):
        years = [abs(int(x[:4]) - int(y[:4])) for x in a.births for y in b.births]
        if min(years) >= _GENERATION_YEARS:
            found.append("Jr/Sr: a suffix on one side, and birth years a generation apart")
    if any(levels.get(kind) == "agrees" for kind in _IDENTIFIERS[:4]):
        # A false name with the true birth date is no contradiction; nor is a new name or a wrong date by itself.
        apart = (surname == "differs") + (given == "differs")
        if (apart == 2 and birth not in _SAME_BIRTH) or (apart and birth == "differs"):
            found.append("identifier agrees, name and birth date do not")
    return found


def judge(a: Prepared, b: Prepared, model: Model, hopeless: bool = True) -> tuple[Identity, float] | None:
    """The verdict on two people, and its bits. The waterfall is the evidence in the order in which it was weighed.

    hopeless: give None where the tier would be NONE and that is plain before a verdict is written: where no identifier
    agrees, nothing but the probability lifts a pair above NONE, fingerprint ids that differ left out of account.
    """
    weights: list[Weight] = compare(a, b, model)
    bits = sum([w.bits for w in weights])
    if hopeless and model.probability(bits) < model.possible:
        if not (a.ids and b.ids):
            return None
        if not any(w.level == "agrees" and w.field in _IDENTIFIERS[:4] for w in weights):
            unprinted = sum([w.bits for w in weights if w.field not in _FINGERPRINT])
            if model.probability(unprinted) < model.possible:
                return None
    probability = model.probability(bits)
    levels = {w.field: w.level for w in weights}
    stops = vetoes(a, b, levels)
    identifiers = {kind for kind in _IDENTIFIERS if levels.get(kind) == "agrees"}
    beyond = bool(identifiers) or any(levels.get(kind) == "near" for kind in _FINGERPRINT)
    if stops:
        # Two fingerprint ids that differ outweigh any name; a person still sees the pair where anything speaks for it.
        speaking = identifiers - {"ssn4"} or sum(w.bits for w in weights if w.field not in _FINGERPRINT) > 0
        worth = identifiers - {"ssn4"} or (
            speaking
            and model.probability(sum(w.bits for w in weights if w.field not in _FINGERPRINT)) >= model.possible
        )
        tier = Tier.POSSIBLE if worth else Tier.NONE
    elif identifiers.intersection(_FINGERPRINT):
        tier = Tier.CONFIRMED
    elif probability >= model.probable and beyond:
        # Rule 1: name and birth date alone go to a person, however rare the name.
        tier = Tier.PROBABLE
    elif probability >= model.possible or identifiers - {"ssn4"}:
        tier = Tier.POSSIBLE
    else:
        tier = Tier.NONE
    evidence = [Evidence(field=w.field, outcome=w.level, bits=round(w.bits, 3)) for w in weights]
    return Identity(
        tier=tier, probability=round(probability, 9), model=model.digest, evidence=evidence, vetoes=stops
    ), bits
