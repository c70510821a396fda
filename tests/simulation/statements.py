"""What each statement of the notifier's ledger does, row by row. Written from its SQL; keyed by its text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from services.notifier.adapters.postgres import claims, ledger, upkeep
from tests.simulation import statements_claims as on_claims
from tests.simulation.rows import Row, Tables, rows_of

__all__ = ["STATEMENTS"]

# -- ledger.py ---------------------------------------------------------------------------------------------------------

_NOTICE = ("notice_id", "conflict_id", "version", "stage", "recipient", "urgency", "body", "status", "accepted_at")


def _insert_notices(t: Tables, *args: Any) -> list[Row]:
    *columns, now, decided, traces = args
    newest: dict[str, int] = {}
    for row in t.notices.values():
        newest[row["conflict_id"]] = max(row["version"], newest.get(row["conflict_id"], 0))
    made: list[Row] = []
    for row, decided_at, traceparent in zip(rows_of(_NOTICE, columns), decided, traces, strict=True):
        if row["notice_id"] in t.notices:
            continue
        if newest.get(row["conflict_id"], 0) > row["version"]:
            row["status"] = "superseded"
        row |= {"decided_at": decided_at, "created_at": now, "acknowledged_at": None, "traceparent": traceparent}
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
    for row in rows_of(_DELIVERY, columns):
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


STATEMENTS: Final[Mapping[str, Callable[..., list[Row]]]] = {
    ledger._INSERT_NOTICES: _insert_notices,
    ledger._SUPERSEDE: _supersede,
    ledger._EARLIER: _earlier,
    ledger._EVER_SUBSCRIBED: _ever_subscribed,
    ledger._SUBSCRIBED: _subscribed,
    ledger._REACHED: _reached,
    ledger._INSERT_DELIVERIES: _insert_deliveries,
    "update notices set status = 'no_subscription' where notice_id = any($1::text[])": _no_subscription,
    claims._CLAIM: on_claims.claim,
    claims._FINISH: on_claims.finish,
    claims.FAILED_NOTICES: on_claims.failed_notices,
    claims._ENDPOINTS: on_claims.endpoints,
    claims.OUTBOX: on_claims.outbox,
    upkeep._INTERRUPT: on_claims.interrupt,
    upkeep._EXPIRE: on_claims.expire,
    upkeep._END_ORPHANS: on_claims.end_orphans,
    inspect.getsource(upkeep.due).split('"""')[3]: on_claims.due,
}
