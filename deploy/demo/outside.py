"""The world outside of Sallyport, as a process of its own: every agency's webhook endpoint, and its mail server.

`python -m deploy.demo.outside`, with SALLYPORT_HTTP_PORT, DEMO_SMTP_PORT, DEMO_ARRIVALS (a file) and, optionally,
DEMO_ANSWER_AFTER_S (seconds between taking a webhook and saying so) and DEMO_HTTP_HOST (the address that the webhooks
come to, 127.0.0.1 by default) in the environment.

    POST /hooks/{agency}   what Sallyport calls; verified by the `standardwebhooks` library, which is none of ours
    POST /secrets          {agency: secret, …}: what the subscriptions answered
    GET  /arrivals         counts, for a look

Each arrival becomes one line of JSON in the file, written before it is answered: what was answered with 2xx is there.
A signature that is wrong is answered with 401 and is on record too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from email import message_from_bytes
from pathlib import Path
from typing import IO, Any

import msgspec
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from msgspec import Raw, Struct
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

__all__ = ["Arrival", "read_arrivals"]


class Arrival(Struct, frozen=True, omit_defaults=True):
    """One webhook or e-mail as it came.

    at: Unix time in seconds, when its last byte was read. id: webhook-id or Message-ID. to: agency, or address.
    verified: the signature was right (an e-mail has none). text: of an e-mail, subject and body.
    """

    channel: str
    at: float
    id: str
    to: str
    verified: bool
    body: Raw = Raw(b"null")
    text: str = ""


_decode = msgspec.json.Decoder(Arrival).decode


def read_arrivals(file: Path) -> list[Arrival]:
    """Every arrival so far; a last line that is still being written is left for the next time."""
    if not file.exists():
        return []
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    return [_decode(line) for line in whole.splitlines()]


class Outside:
    """The endpoints. log: open for appending, unbuffered. answer_after_s: between taking a webhook and saying so."""

    def __init__(self, log: IO[bytes], answer_after_s: float) -> None:
        self._log = log
        self._answer_after_s = answer_after_s
        self._webhooks: dict[str, Webhook] = {}
        self._counts: Counter[str] = Counter()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/hooks/{agency}", self.hook)
        app.router.add_post("/secrets", self.secrets)
        app.router.add_get("/arrivals", self.arrivals)
        app.router.add_get("/readyz", self.readyz)
        return app

    def _record(self, arrival: Arrival) -> None:
        self._log.write(msgspec.json.encode(arrival) + b"\n")
        self._counts[f"{arrival.channel}{'' if arrival.verified else ', not verified'}"] += 1

    async def hook(self, request: web.Request) -> web.Response:
        raw = await request.read()
        at = time.time()
        agency = request.match_info["agency"]
        verifier = self._webhooks.get(agency)
        verified = False
        if verifier is not None:
            try:
                verifier.verify(raw, dict(request.headers))
                verified = True
            except WebhookVerificationError:
                pass
        body = Raw(raw) if verified else Raw(b"null")
        self._record(Arrival("webhook", at, request.headers.get("webhook-id", ""), agency, verified, body))
        if self._answer_after_s:
            await asyncio.sleep(self._answer_after_s)
        return web.Response(status=204 if verified else 401)

    async def secrets(self, request: web.Request) -> web.Response:
        given = msgspec.json.decode(await request.read(), type=dict[str, str])
        self._webhooks |= {agency: Webhook(secret) for agency, secret in given.items()}
        return web.Response(status=204)

    async def arrivals(self, _: web.Request) -> web.Response:
        return web.json_response(dict(self._counts))

    async def readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    # The handler protocol of aiosmtpd has this name.
    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        raw = envelope.content or b""
        message = message_from_bytes(raw if isinstance(raw, bytes) else raw.encode())
        payload: Any = message.get_payload(decode=True)
        text = f"{message.get('Subject', '')}\n{payload.decode(errors='replace') if payload else ''}"
        for address in envelope.rcpt_tos:
            self._record(Arrival("email", time.time(), str(message.get("Message-ID", "")), address, True, text=text))
        return "250 OK"


async def _serve(http_host: str, http_port: int, smtp_port: int, log: IO[bytes]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    outside = Outside(log, float(os.environ.get("DEMO_ANSWER_AFTER_S", "0")))
    runner = web.AppRunner(outside.app(), access_log=None)
    await runner.setup()
    mail = await loop.create_server(
        lambda: SMTP(outside, hostname="demo", enable_SMTPUTF8=True), "127.0.0.1", smtp_port
    )
    await web.TCPSite(runner, http_host, http_port).start()
    await stop.wait()
    mail.close()
    await runner.cleanup()


def main() -> int:
    """Serve until SIGTERM."""
    with Path(os.environ["DEMO_ARRIVALS"]).open("ab", buffering=0) as log:
        host, port = os.environ.get("DEMO_HTTP_HOST", "127.0.0.1"), int(os.environ["SALLYPORT_HTTP_PORT"])
        asyncio.run(_serve(host, port, int(os.environ["DEMO_SMTP_PORT"]), log))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
