"""What each statement of claims.py and upkeep.py does, row by row."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tests.simulation.rows import Row, Tables, rows_of

__all__ = ["claim", "due", "end_orphans", "endpoints", "expire", "failed_notices", "finish", "interrupt", "outbox"]

# -- claims.py ---------------------------------------------------------------------------------------------------------


def claim(
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
                "failures_in_a_row": s["failures_in_a_row"], "first": notice["status"] == "pending",
                "traceparent": notice["traceparent"],
            }
        )  # fmt: skip
    return answer


def _urgent_first(d: Row) -> tuple[int, datetime, str]:
    return d["urgency"], d["next_attempt_at"], d["delivery_id"]


_OUTCOME = (
    "delivery_id", "attempt", "claim_id", "status", "next_attempt_at", "finished_at", "delivered", "http_status",
    "error", "event", "accepted_at",
)  # fmt: skip


def finish(t: Tables, *columns: Any) -> list[Row]:
    moved: list[Row] = []
    for o in rows_of(_OUTCOME, columns):
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


def failed_notices(t: Tables, notices: list[str]) -> list[Row]:
    for notice_id in notices:
        own = {d["status"] for d in t.deliveries.values() if d["notice_id"] == notice_id}
        if t.notices[notice_id]["status"] == "pending" and not own & {"pending", "delivered"}:
            t.notices[notice_id]["status"] = "failed"
    return []


def endpoints(
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


def outbox(t: Tables, events: list[str], notices: list[str], outcomes: list[str], *_: Any) -> list[Row]:
    t.outbox += rows_of(("event_id", "notice_id", "outcome"), (events, notices, outcomes))
    return []


# -- upkeep.py ---------------------------------------------------------------------------------------------------------


def interrupt(t: Tables, now: datetime) -> list[Row]:
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


def expire(t: Tables, now: datetime, older_than: datetime) -> list[Row]:
    answer = []
    for d in t.deliveries.values():
        paused = t.subscriptions[d["subscription_id"]]["status"] == "paused"
        if d["status"] == "pending" and d["claim_id"] is None and d["created_at"] < older_than and not paused:
            d["status"], d["finished_at"] = "failed", now
            notice = t.notices[d["notice_id"]]
            answer.append(d | {name: notice[name] for name in ("stage", "recipient", "accepted_at")})
    return answer


def end_orphans(t: Tables, _now: datetime) -> list[Row]:
    return []  # nobody deletes a subscription here


def due(t: Tables, _now: datetime) -> list[Row]:
    return []  # for metrics
