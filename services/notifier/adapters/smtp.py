"""One attempt by e-mail: a pointer, no personal data (G8); whoever may know more reads it over the API."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib
import msgspec
from msgspec import Struct

from contracts.types.conflict import Alert
from services.notifier.adapters.postgres.claims import Claimed
from services.notifier.adapters.webhook import Answer
from services.notifier.settings import NotifierSettings

__all__ = ["MailSender", "compose"]

_TEXT = """\
There is a Sallyport notice for you: {what}.

Read it with your key:
{url}/v1/notices/{notice_id}

It is a prompt to check, not a ground to hold anybody. This message holds no details on purpose.
"""


class _Data(Struct):
    alerts: list[Alert] = []


class _Body(Struct):
    """All that a mail takes from the notice."""

    data: _Data


def compose(claimed: Claimed, *, sender: str, public_url: str, now: datetime) -> EmailMessage:
    """The message of a delivery. Its Message-ID follows from the delivery, so that a repeat is recognised as one."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = claimed.target
    # An alert (rules 15, 20) is no stage: "in custody" alone would not say that there is one.
    what = ", ".join([claimed.stage, *msgspec.json.decode(claimed.body, type=_Body).data.alerts]).replace("_", " ")
    message["Subject"] = f"Sallyport notice: {what}"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{claimed.delivery_id}@{sender.rpartition('@')[2] or 'sallyport'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_TEXT.format(what=what, url=public_url.rstrip("/"), notice_id=claimed.notice_id))
    return message


class MailSender:
    """Sends through one mail server; STARTTLS is required unless a development setting says otherwise."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings

    @property
    def configured(self) -> bool:
        return bool(self._settings.smtp_host)

    async def send(self, claimed: Claimed) -> Answer:
        """Try once. Never raises for what the server does; a mail without STARTTLS is never sent."""
        s = self._settings
        if not self.configured:
            return Answer(False, error="smtp_not_configured")
        try:
            message = compose(claimed, sender=s.mail_from, public_url=s.public_url, now=datetime.now(UTC))
            async with asyncio.timeout(s.smtp_deadline_s):  # the library's own is for each command anew
                await aiosmtplib.send(
                    message,
                    hostname=s.smtp_host,
                    port=s.smtp_port,
                    username=s.smtp_username or None,
                    password=s.smtp_password.get_secret_value() or None,
                    start_tls=s.smtp_starttls,
                    use_tls=False,
                    tls_context=ssl.create_default_context(cafile=s.smtp_ca_file or None) if s.smtp_starttls else None,
                    timeout=s.smtp_deadline_s,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            return Answer(False, http_status=codes[0] if codes else None, error="smtp_recipient_refused")
        except aiosmtplib.SMTPResponseException as error:
            return Answer(False, http_status=error.code, error=f"smtp_{error.code // 100}xx")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Answer(False, error=_class_of(error))
        return Answer(True)


def _class_of(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "certificate"
    return "starttls_or_connection" if isinstance(error, aiosmtplib.SMTPException) else "connection_failed"
