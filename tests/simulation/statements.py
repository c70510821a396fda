"""What each statement of the notifier's ledger does, row by row. Written from its SQL; keyed by its text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.notifier.adapters.postgres import claims, ledger, upkeep

__all__ = ["STATEMENTS", "Row", "Tables"]

Row = dict[str, Any]


class Tables:
    """notices, deliveries, subscriptions by id; attempts by (delivery, attempt); the outbox in order."""

    def __init__(self) -> None:
        self.notices: dict[str, Row] = {}
        self.deliveries: dict[str, Row] = {}
        self.subscriptions: dict[str, Row] = {}
        self.attempts: dict[tuple[str, int], Row] = {}
        self.outbox: list[Row] = []

    def copy(self) -> Tables:
        made = Tables()
        for name in ("notices", "deliveries", "subscriptions", "attempts"):
            setattr(made, name, {key: dict(row) for key, row in getattr(self, name).items()})
        made.outbox = list(self.outbox)
        return made


def _rows(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[Row]:
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


# -- ledger.py ---------------------------------------------------------------------------------------------------------

_NOTICE = ("notice_id", "conflict_id", "version", "stage", "recipient", "urgency", "body", "status", "accepted_at")


def _insert_notices(t: Tables, *args: Any) -> list[Row]:
    *columns, now, decided = args
    newest: dict[str, int] = {}
    for row in t.notices.values():
        newest[row["conflict_id"]] = max(row["version"], newest.get(row["conflict_id"], 0))
    made: list[Row] = []
    for row, decided_at in zip(_rows(_NOTICE, columns), decided, strict=True):
        if row["notice_id"] in t.notices:
            continue
        if newest.get(row["conflict_id"], 0) > row["version"]:
            row["status"] = "superseded"
        row |= {"decided_at": decided_at, "created_at": now, "acknowledged_at": None}
        t.notices[row["notice_id"]] = row
        made.append(row)
    return [{"notice_id": row["notice_id"], "status": row["status"]} for row in made]


def _supersede(t: Tables, conflicts: list[str], versions: list[int], recipients: list[str], now: datetime) -> list[Row]:
    newest = {(c, r): v for c, v, r in zip(conflicts, versions, recipients, strict=True)}
    ended = []
    for d in t.deliveries.values():
        passed = d["version"] < newest.get((d["conflict_id"], t.notices[d["notice_id"]]["recipient"]), 0)
        if d["status"] == "pending" and passed:
            _overtake(d, now)
            ended.append(d)
    for d in ended:
        notice = t.notices[d["notice_id"]]
        if d["status"] == "superseded" and notice["status"] == "pending":
            notice["status"] = "superseded"
    return []


def _overtake(d: Row, now: datetime) -> None:
    d["overtaken"] = True
    if d["claim_id"] is None:
        d["status"], d["finished_at"] = "superseded", now


def _earlier(t: Tables, conflicts: list[str], recipients: list[str]) -> list[Row]:
    asked = set(zip(conflicts, recipients, strict=True))
    found = {(n["conflict_id"], n["recipient"]) for n in t.notices.values()} & asked
    return [{"conflict_id": c, "recipient": r} for c, r in sorted(found)]


def _ever_subscribed(t: Tables, agencies: list[str]) -> list[Row]:
    found: dict[str, bool] = {}
    for s in t.subscriptions.values():
        if s["agency"] in agencies:
            found[s["agency"]] = found.get(s["agency"], False) or s["status"] != "deleted"
    return [{"agency": agency, "subscribes": yes} for agency, yes in sorted(found.items())]


def _subscribed(t: Tables, agencies: list[str]) -> list[Row]:
    living = [s for s in t.subscriptions.values() if s["agency"] in agencies and s["status"] in ("active", "paused")]
    return sorted(living, key=lambda s: str(s["subscription_id"]))


def _reached(t: Tables, conflicts: list[str], recipients: list[str]) -> list[Row]:
    asked = set(zip(conflicts, recipients, strict=True))
    found: dict[tuple[str, str, str], Row] = {}
    for d in t.deliveries.values():
        s = t.subscriptions[d["subscription_id"]]
        if (d["conflict_id"], s["agency"]) in asked and d["attempts"] > 0:
            found[d["conflict_id"], s["agency"], d["subscription_id"]] = {
                "conflict_id": d["conflict_id"],
                "recipient": s["agency"],
                "subscription_id": d["subscription_id"],
                "channel": d["channel"],
                "living": s["status"] in ("active", "paused"),
            }
    return [found[key] for key in sorted(found)]  # nobody acknowledges here


_DELIVERY = ("delivery_id", "notice_id", "conflict_id", "version", "subscription_id", "channel", "urgency")


def _insert_deliveries(t: Tables, *args: Any) -> list[Row]:
    *columns, now = args
    for row in _rows(_DELIVERY, columns):
        row |= {
            "status": "pending", "attempts": 0, "failures": 0, "next_attempt_at": now, "claim_id": None,
            "lease_until": None, "created_at": now, "finished_at": None, "overtaken": False,
        }  # fmt: skip
        t.deliveries.setdefault(row["delivery_id"], row)
    return []


def _no_subscription(t: Tables, notices: list[str]) -> list[Row]:
    for notice_id in notices:
        t.notices[notice_id]["status"] = "no_subscription"
    return []


# -- claims.py ---------------------------------------------------------------------------------------------------------


def _claim(
    t: Tables,
    claim_id: UUID,
    now: datetime,
    until: datetime,
    per_endpoint: int,
    threshold: int,
    limit: int,
    held_ids: list[str],
    held_counts: list[int],
    channel: str,
) -> list[Row]:
    held = dict(zip(held_ids, held_counts, strict=True))
    rooms: list[tuple[Row, int, list[Row]]] = []
    for s in t.subscriptions.values():
        resting = s["resting_until"] is not None and s["resting_until"] > now
        if s["status"] != "active" or s["channel"] != channel or resting:
            continue
        own = [d for d in t.deliveries.values() if d["subscription_id"] == s["subscription_id"]]
        due = [d for d in own if d["status"] == "pending" and d["claim_id"] is None and d["next_attempt_at"] <= now]
        cap = 1 if s["failures_in_a_row"] >= threshold else per_endpoint
        if due:
            rooms.append((s, cap - sum(d["claim_id"] is not None for d in own), due))
    takers = sum(held.get(s["subscription_id"], 0) < limit for s, _, _ in rooms)
    picked: list[tuple[Row, Row]] = []
    for s, room, due in rooms:
        has = held.get(s["subscription_id"], 0)
        share = max(min(room, max((limit - has) // (takers + 1), int(has == 0))), 0)
        picked += [(s, d) for d in sorted(due, key=_urgent_first)[:share]]
    picked.sort(key=lambda p: _urgent_first(p[1]))
    answer: list[Row] = []
    for s, d in picked[:limit]:
        d["claim_id"], d["lease_until"] = claim_id, until
        d["attempts"] += 1
        t.attempts[d["delivery_id"], d["attempts"]] = {"claim_id": claim_id, "started_at": now, "outcome": None}
        notice = t.notices[d["notice_id"]]
        answer.append(
            {
                "delivery_id": d["delivery_id"], "notice_id": d["notice_id"], "conflict_id": d["conflict_id"],
                "version": d["version"], "stage": notice["stage"], "recipient": notice["recipient"],
                "subscription_id": d["subscription_id"], "channel": d["channel"], "target": s["target"],
                "secret_encrypted": b"", "body": notice["body"], "attempts": d["attempts"],
                "failures": d["failures"], "accepted_at": notice["accepted_at"],
                "failures_in_a_row": s["failures_in_a_row"],
            }
        )  # fmt: skip
    return answer


def _urgent_first(d: Row) -> tuple[int, datetime, str]:
    return d["urgency"], d["next_attempt_at"], d["delivery_id"]


_OUTCOME = (
    "delivery_id", "attempt", "claim_id", "status", "next_attempt_at", "finished_at", "delivered", "http_status",
    "error", "event", "accepted_at",
)  # fmt: skip


def _finish(t: Tables, *columns: Any) -> list[Row]:
    moved: list[Row] = []
    for o in _rows(_OUTCOME, columns):
        attempt = t.attempts.get((o["delivery_id"], o["attempt"]))
        if attempt is not None and attempt["claim_id"] == o["claim_id"]:
            attempt["outcome"] = "delivered" if o["delivered"] else "failed"
        d = t.deliveries[o["delivery_id"]]
        if d["claim_id"] != o["claim_id"]:
            continue
        again = o["status"] == "pending"
        d["status"] = "superseded" if again and d["overtaken"] else o["status"]
        d["claim_id"] = d["lease_until"] = None
        d["failures"] += 0 if o["delivered"] else 1
        d["next_attempt_at"] = o["next_attempt_at"] or d["next_attempt_at"]
        d["finished_at"] = None if again and not d["overtaken"] else o["finished_at"]
        moved.append(d | {"outcome": o["status"]})
        if o["event"] is not None:
            name = f"{o['delivery_id']}.{o['attempt']}"
            t.outbox.append({"event_id": name, "notice_id": d["notice_id"], "outcome": o["status"]})
    for m in moved:
        notice = t.notices[m["notice_id"]]
        told = min(
            (x["status"] for x in moved if x["notice_id"] == m["notice_id"] and x["status"] in _TOLD), default=None
        )
        if told is not None and notice["status"] in ("pending", "failed", "superseded"):
            notice["status"] = told
        if m["outcome"] == "delivered":
            t.subscriptions[m["subscription_id"]] |= {"failures_in_a_row": 0, "resting_until": None}
    return [{"delivery_id": m["delivery_id"], "notice_id": m["notice_id"], "status": m["status"]} for m in moved]


_TOLD: Final = ("delivered", "superseded")


def _failed_notices(t: Tables, notices: list[str]) -> list[Row]:
    for notice_id in notices:
        own = {d["status"] for d in t.deliveries.values() if d["notice_id"] == notice_id}
        if t.notices[notice_id]["status"] == "pending" and not own & {"pending", "delivered"}:
            t.notices[notice_id]["status"] = "failed"
    return []


def _endpoints(
    t: Tables,
    names: list[str],
    delivered: list[bool],
    crowds: list[int],
    probes: list[int],
    rests: list[datetime | None],
    gone: list[bool],
    threshold: int,
) -> list[Row]:
    for name, ok, crowd, probe, rest, is_gone in zip(names, delivered, crowds, probes, rests, gone, strict=True):
        s = t.subscriptions[name]
        if ok and not is_gone:
            continue
        failures = s["failures_in_a_row"]
        s["failures_in_a_row"] = max(failures, min(failures + crowd, threshold)) + probe
        s["resting_until"] = max((x for x in (s["resting_until"], rest) if x is not None), default=None)
        if is_gone and s["status"] in ("active", "paused"):
            s["status"] = "disabled"
    return []


def _outbox(t: Tables, events: list[str], notices: list[str], outcomes: list[str], *_: Any) -> list[Row]:
    t.outbox += _rows(("event_id", "notice_id", "outcome"), (events, notices, outcomes))
    return []


# -- upkeep.py ---------------------------------------------------------------------------------------------------------


def _interrupt(t: Tables, now: datetime) -> list[Row]:
    changed: list[Row] = []
    for d in t.deliveries.values():
        if d["claim_id"] is None or d["lease_until"] >= now:
            continue
        d["claim_id"] = d["lease_until"] = None
        d["next_attempt_at"] = now
        if d["overtaken"]:
            d["status"], d["finished_at"] = "superseded", now
            if t.notices[d["notice_id"]]["status"] == "pending":
                t.notices[d["notice_id"]]["status"] = "superseded"
        attempt = t.attempts[d["delivery_id"], d["attempts"]]
        if attempt["outcome"] is None:
            attempt["outcome"] = "interrupted"
            changed.append(attempt)
    return changed


def _expire(t: Tables, now: datetime, older_than: datetime) -> list[Row]:
    answer = []
    for d in t.deliveries.values():
        paused = t.subscriptions[d["subscription_id"]]["status"] == "paused"
        if d["status"] == "pending" and d["claim_id"] is None and d["created_at"] < older_than and not paused:
            d["status"], d["finished_at"] = "failed", now
            notice = t.notices[d["notice_id"]]
            answer.append(d | {name: notice[name] for name in ("stage", "recipient", "accepted_at")})
    return answer


def _end_orphans(t: Tables, _now: datetime) -> list[Row]:
    return []  # nobody deletes a subscription here


def _due(t: Tables, _now: datetime) -> list[Row]:
    return []  # for metrics


STATEMENTS: Final[Mapping[str, Callable[..., list[Row]]]] = {
    ledger._INSERT_NOTICES: _insert_notices,
    ledger._SUPERSEDE: _supersede,
    ledger._EARLIER: _earlier,
    ledger._EVER_SUBSCRIBED: _ever_subscribed,
    ledger._SUBSCRIBED: _subscribed,
    ledger._REACHED: _reached,
    ledger._INSERT_DELIVERIES: _insert_deliveries,
    "update notices set status = 'no_subscription' where notice_id = any($1::text[])": _no_subscription,
    claims._CLAIM: _claim,
    claims._FINISH: _finish,
    claims.FAILED_NOTICES: _failed_notices,
    claims._ENDPOINTS: _endpoints,
    claims.OUTBOX: _outbox,
    upkeep._INTERRUPT: _interrupt,
    upkeep._EXPIRE: _expire,
    upkeep._END_ORPHANS: _end_orphans,
    inspect.getsource(upkeep.due).split('"""')[3]: _due,
}
