"""POST /v1/subscriptions and what an agency does with its subscriptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from contracts.types.notice import Ping, PingData
from services.notifier.adapters.addresses import check_target
from services.notifier.adapters.postgres import subscriptions as store
from services.notifier.adapters.secrets import SecretBox
from services.notifier.adapters.webhook import WebhookSender
from services.notifier.api.edge import Desk, not_found
from services.notifier.settings import NotifierSettings
from services.platform.errors import ContractViolation
from services.platform.http.edge import Route
from services.platform.http.problems import json_response, problem

__all__ = ["Subscriptions"]

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_ERRORS: Final[dict[int, tuple[str, None]]] = {
    401: ("No API key, or one that is not known.", None),
    403: ("The key speaks for no agency.", None),
    503: ("The ledger does not answer; try again.", None),
}
_MISSING: Final[dict[int, tuple[str, None]]] = {404: ("No such subscription of this agency.", None)}
_SUBSCRIPTION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["subscription_id", "channel", "target", "status", "created_at"],
    "properties": {
        "subscription_id": {"type": "string"},
        "channel": {"type": "string", "enum": ["webhook", "email"]},
        "target": {"type": "string", "description": "URL or address."},
        "status": {"type": "string", "enum": ["active", "paused", "disabled"]},
        "status_reason": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "failures_in_a_row": {"type": "integer"},
        "resting_until": {"type": ["string", "null"], "format": "date-time"},
        "secret": {"type": "string", "description": "Of a webhook; in the answer to its making only."},
    },
}


class NewWebhook(Struct, tag_field="channel", tag="webhook", forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=2000)]


class NewEmail(Struct, tag_field="channel", tag="email", forbid_unknown_fields=True):
    address: Annotated[str, Meta(max_length=320)]


NewSubscription: TypeAlias = NewWebhook | NewEmail
_NEW: Final[dict[str, Any]] = {
    "oneOf": [
        {
            "type": "object",
            "required": ["channel", "url"],
            "additionalProperties": False,
            "properties": {"channel": {"const": "webhook"}, "url": {"type": "string", "maxLength": 2000}},
        },
        {
            "type": "object",
            "required": ["channel", "address"],
            "additionalProperties": False,
            "properties": {"channel": {"const": "email"}, "address": {"type": "string", "maxLength": 320}},
        },
    ]
}


class _Made(store.Subscription, frozen=True, omit_defaults=True):
    secret: str | None = None


class Subscriptions:
    """The operations. changed: called when deliveries may have become due."""

    def __init__(
        self,
        desk: Desk,
        settings: NotifierSettings,
        secrets: SecretBox,
        webhooks: WebhookSender,
        *,
        changed: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._secrets = secrets
        self._webhooks = webhooks
        self._changed = changed

    def routes(self) -> list[Route]:
        guarded = self._desk.guarded
        one = "/v1/subscriptions/{subscription_id}"
        return [
            Route(
                "POST", "/v1/subscriptions", guarded(self.create), "Subscribe; the secret is shown this once.",
                request={"application/json": _NEW},
                responses={201: ("Made.", _SUBSCRIPTION), 422: ("Not to be used: why.", None), **_ERRORS},
            ),
            Route(
                "GET", "/v1/subscriptions", guarded(self.list), "The agency's subscriptions.",
                responses={
                    200: ("All of them.", {"type": "object", "properties": {
                        "subscriptions": {"type": "array", "items": _SUBSCRIPTION}}}), **_ERRORS,
                },
            ),
            Route("GET", one, guarded(self.read), "One subscription.",
                  responses={200: ("It.", _SUBSCRIPTION), **_MISSING, **_ERRORS}),
            Route("POST", one + "/pause", guarded(self.pause), "Send nothing; notices gather and none is dropped.",
                  responses={200: ("Paused.", _SUBSCRIPTION), **_MISSING, **_ERRORS}),
            Route("POST", one + "/resume", guarded(self.resume), "Send again, at once, what has gathered.",
                  responses={200: ("Active.", _SUBSCRIPTION), **_MISSING, **_ERRORS}),
            Route("DELETE", one, guarded(self.delete), "End it; what waits for it is not sent.",
                  responses={204: ("Ended.", None), **_MISSING, **_ERRORS}),
            Route("POST", one + "/ping", guarded(self.ping), "Send a signed test webhook now, and say what came of it.",
                  responses={200: ("What came of it.", {"type": "object", "properties": {
                      "delivered": {"type": "boolean"}, "http_status": {"type": ["integer", "null"]},
                      "error": {"type": ["string", "null"]}}}),
                      409: ("Not a webhook.", None), **_MISSING, **_ERRORS}),
        ]  # fmt: skip

    async def create(self, request: web.Request) -> web.Response:
        agency = self._desk.agency(request)
        asked: NewSubscription = await self._desk.body(request, NewSubscription)
        secret: str | None = None
        encrypted: bytes | None = None
        if isinstance(asked, NewWebhook):
            channel, target = "webhook", asked.url
            check_target(
                target,
                allow_private=self._settings.allow_private_endpoints,
                allow_plain=self._settings.allow_plain_http,
            )
            secret, encrypted = self._secrets.new()
        else:
            channel, target = "email", asked.address
            if not self._settings.smtp_host:
                raise ContractViolation("email_not_offered", "this installation sends no e-mail", "channel")
            if not _ADDRESS.fullmatch(target):
                raise ContractViolation("address_invalid", "not an e-mail address", "address")
        made = await store.add(self._desk.pool(), agency, channel, target, encrypted, datetime.now(UTC))
        answer = _Made(**{f: getattr(made, f) for f in made.__struct_fields__}, secret=secret)
        return json_response(answer, 201)

    async def list(self, request: web.Request) -> web.Response:
        found = await store.listed(self._desk.pool(), self._desk.agency(request))
        return json_response({"subscriptions": found})

    async def read(self, request: web.Request) -> web.Response:
        found = await store.get(self._desk.pool(), self._desk.agency(request), request.match_info["subscription_id"])
        return json_response(found) if found else not_found("subscription")

    async def pause(self, request: web.Request) -> web.Response:
        return await self._set(request, "paused", "paused by its agency")

    async def resume(self, request: web.Request) -> web.Response:
        return await self._set(request, "active", "resumed by its agency")

    async def _set(self, request: web.Request, status: str, reason: str) -> web.Response:
        agency, name = self._desk.agency(request), request.match_info["subscription_id"]
        found = await store.set_status(self._desk.pool(), agency, name, status, reason, datetime.now(UTC))
        self._changed()
        return json_response(found) if found else not_found("subscription")

    async def delete(self, request: web.Request) -> web.Response:
        agency, name = self._desk.agency(request), request.match_info["subscription_id"]
        gone = await store.delete(self._desk.pool(), agency, name, datetime.now(UTC))
        return web.Response(status=204) if gone else not_found("subscription")

    async def ping(self, request: web.Request) -> web.Response:
        """Outside the ledger, since it tells of no conflict: one attempt, its outcome in the answer."""
        agency, name = self._desk.agency(request), request.match_info["subscription_id"]
        found = await store.get(self._desk.pool(), agency, name)
        encrypted = await store.secret_of(self._desk.pool(), agency, name)
        if found is None:
            return not_found("subscription")
        if encrypted is None:
            return problem(409, "not_a_webhook", "only a webhook can be pinged")
        now = datetime.now(UTC)
        body = msgspec.json.encode(Ping(type="notice.ping", timestamp=now, data=PingData(subscription_id=name)))
        key = self._secrets.signing_key(encrypted)
        answer = await self._webhooks.send(found.target, key, f"ping_{name}_{now.timestamp():.0f}", body)
        return json_response({"delivered": answer.delivered, "http_status": answer.http_status, "error": answer.error})
