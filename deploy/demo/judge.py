"""What came out, against the truth of the script: what is missing, and what is extra."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from contracts.ids import notice_id
from contracts.types.conflict import Conflict, CustodyStatus, Review, ReviewStatus, Stage
from contracts.types.notice import Notice
from deploy.demo.outside import Arrival
from deploy.demo.world.script import Expected

__all__ = ["Verdict", "judge"]

_ENDINGS = frozenset({Stage.CLOSED, Stage.RETRACTED})
_NOTICE_ID = re.compile(r"\bntc_[a-z2-7]{24}\b")
_decode_notice = msgspec.json.Decoder(Notice).decode


@dataclass
class Verdict:
    """missing, extra: one line each, by id and plot, no personal data.

    stages: of the newest versions that stand. open_reviews: as they are. repeats: notice id -> how often its webhook
    came beyond the first time; allowed (at least once, G4), but each has to be in the ledger.
    pairs, right: by plot, how many pairs there are and how many are as the script says.
    overtaken: versions whose webhook never came, since a newer one took its place.
    first_arrivals: (conflict id, version) -> Unix time at which its webhook came first.
    """

    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    stages: Counter[Stage] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    open_reviews: int = 0
    webhooks: int = 0
    emails: int = 0
    overtaken: int = 0
    repeats: dict[str, int] = field(default_factory=dict)
    repeated_to: dict[str, str] = field(default_factory=dict)
    first_arrivals: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.missing and not self.extra


def judge(
    expected: Sequence[Expected],
    conflicts: Sequence[Conflict],
    reviews: Sequence[Review],
    arrivals: Sequence[Arrival],
    mailed: Sequence[str] = (),
) -> Verdict:
    """Compare. conflicts, reviews: every version, in the order of their partitions. mailed: who has e-mail too."""
    verdict = Verdict()
    versions = _versions(conflicts, verdict)
    told = _notices(versions, arrivals, verdict)
    by_mail = _mails(arrivals)
    known = {e.conflict_id for e in expected}
    for name in versions.keys() - known:
        verdict.extra.append(f"conflict of nobody expected: {name}")
    newest_reviews = {r.review_id: r for r in sorted(reviews, key=lambda r: r.version)}
    for name in newest_reviews.keys() - {e.review_id for e in expected}:
        verdict.extra.append(f"review of nobody expected: {name}")
    for pair in expected:
        wrong = len(verdict.missing) + len(verdict.extra)
        _pair(pair, versions.get(pair.conflict_id, []), verdict)
        _review(pair, newest_reviews.get(pair.review_id), verdict)
        _told(pair, versions.get(pair.conflict_id, []), told, "webhook", verdict)
        if pair.agency in mailed:
            _told(pair, versions.get(pair.conflict_id, []), by_mail, "e-mail", verdict)
        verdict.pairs[pair.plot] += 1
        verdict.right[pair.plot] += len(verdict.missing) + len(verdict.extra) == wrong
    newest = {(name, got[-1].version) for name, got in versions.items()}
    verdict.overtaken = len({(c.conflict_id, c.version) for c in conflicts} - newest - verdict.first_arrivals.keys())
    verdict.stages = Counter(got[-1].stage for got in versions.values() if got[-1].stage is not Stage.RETRACTED)
    verdict.open_reviews = sum(1 for r in newest_reviews.values() if r.status is ReviewStatus.OPEN)
    verdict.emails = sum(1 for a in arrivals if a.channel == "email")
    return verdict


def _versions(conflicts: Sequence[Conflict], verdict: Verdict) -> dict[str, list[Conflict]]:
    """Conflict id -> its versions in order; each must be there once, from 1 on (G3), and say something new."""
    found: dict[str, list[Conflict]] = {}
    for conflict in conflicts:
        found.setdefault(conflict.conflict_id, []).append(conflict)
    for name, got in found.items():
        numbers = [c.version for c in got]
        if len(set(numbers)) < len(numbers):
            verdict.extra.append(f"{name}: versions {numbers}")
        if set(numbers) != set(range(1, max(numbers) + 1)):
            verdict.missing.append(f"{name}: versions {numbers}")
        got.sort(key=lambda c: c.version)
        for before, after in pairwise(got):
            if after.version == before.version + 1 and _says(after) == _says(before):
                verdict.extra.append(f"{name}: version {after.version} says nothing new")
    return found


def _says(conflict: Conflict) -> tuple[object, ...]:
    """What has to differ for a new version: the standing, with all that comes with it, and the tier
    (docs/lifecycle.md). Of the custody status it is the escape: a trip to court is told to nobody."""
    return (
        conflict.stage,
        conflict.release,
        conflict.retraction,
        conflict.closed_because,
        conflict.alerts,
        conflict.hold_until,
        conflict.custody_assumed_at,
        conflict.episode.custody_status is CustodyStatus.ESCAPED,
        conflict.identity.tier,
    )


def _notices(versions: dict[str, list[Conflict]], arrivals: Sequence[Arrival], verdict: Verdict) -> dict[str, set[str]]:
    """Conflict id -> ids of its notices that came by webhook. What nobody should have got is extra."""
    by_key = {(c.conflict_id, c.version): c for got in versions.values() for c in got}
    told: dict[str, set[str]] = {}
    seen: Counter[str] = Counter()
    for arrival in arrivals:
        if arrival.channel != "webhook":
            continue
        verdict.webhooks += 1
        if not arrival.verified:
            verdict.extra.append(f"webhook to {arrival.to}: the signature is wrong")
            continue
        data = _decode_notice(arrival.body).data
        conflict = by_key.get((data.conflict_id, data.version))
        if conflict is None:
            verdict.extra.append(f"webhook of a version that is not on the topic: {data.conflict_id} {data.version}")
        elif not conflict.detainer.agency == data.recipient == arrival.to:
            verdict.extra.append(f"webhook to another agency: {data.notice_id}")
        elif conflict.stage is not data.stage or arrival.id != data.notice_id:
            verdict.extra.append(f"webhook that says something else than the topic: {data.notice_id}")
        seen[data.notice_id] += 1
        if seen[data.notice_id] > 1:
            verdict.repeats[data.notice_id] = seen[data.notice_id] - 1
            verdict.repeated_to[data.notice_id] = arrival.to
        told.setdefault(data.conflict_id, set()).add(data.notice_id)
        verdict.first_arrivals.setdefault((data.conflict_id, data.version), arrival.at)
    return told


def _mails(arrivals: Sequence[Arrival]) -> dict[str, set[str]]:
    """Notice ids by e-mail, all under the empty conflict id: an e-mail names the notice and nothing else."""
    found = {m.group() for a in arrivals if a.channel == "email" for m in [_NOTICE_ID.search(a.text)] if m}
    return {"": found}


def _pair(pair: Expected, got: list[Conflict], verdict: Verdict) -> None:
    newest = got[-1] if got else None
    if not pair.is_told:
        if newest is not None and newest.stage is not Stage.RETRACTED:
            verdict.extra.append(f"{pair.plot}: {newest.conflict_id} stands as {newest.stage}")
        return
    if newest is None:
        verdict.missing.append(f"{pair.plot}: no conflict, where {pair.stage} is right")
        return
    differs = [
        f"{what} is {is_}, not {want}"
        for what, is_, want in (
            ("stage", newest.stage, pair.stage),
            ("tier", newest.identity.tier, pair.tier),
            ("closed_because", newest.closed_because, pair.closed_because),
            ("status", newest.episode.custody_status, pair.status or newest.episode.custody_status),
        )
        if is_ != want
    ]
    wanted_s, got_s = pair.time_to_custody_s, newest.time_to_custody_s
    if wanted_s is not None and (got_s is None or abs(got_s - wanted_s) > 1e-3):
        differs.append(f"time to custody is {got_s} s, not {wanted_s} s")
    if differs:
        verdict.missing.append(f"{pair.plot}: {newest.conflict_id}: {'; '.join(differs)}")


def _review(pair: Expected, newest: Review | None, verdict: Verdict) -> None:
    is_open = newest is not None and newest.status is ReviewStatus.OPEN
    if pair.is_asked and (newest is None or not is_open or newest.stage is not pair.stage):
        verdict.missing.append(f"{pair.plot}: no open review, where one of {pair.stage} is right")
    elif is_open and not pair.is_asked:
        verdict.extra.append(f"{pair.plot}: {pair.review_id} is open")


def _told(pair: Expected, got: list[Conflict], told: dict[str, set[str]], channel: str, verdict: Verdict) -> None:
    """The newest version must have come; an ending only to whom something came before (G6)."""
    if not got:
        return
    newest = got[-1]
    arrived = told.get(pair.conflict_id, set()) | told.get("", set())
    earlier = any(_notice_of(c, pair.agency) in arrived for c in got[:-1])
    if newest.stage in _ENDINGS and not earlier:
        return
    if _notice_of(newest, pair.agency) not in arrived:
        verdict.missing.append(f"{pair.plot}: no {channel} of {newest.stage}, version {newest.version}")


def _notice_of(conflict: Conflict, agency: str) -> str:
    return notice_id(conflict.conflict_id, conflict.version, agency)
