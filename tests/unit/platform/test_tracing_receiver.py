"""A receiver of traces with a token and a certificate of one's own authority."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from services.platform.errors import ConfigurationError
from services.platform.metrics import SPANS
from services.platform.settings import PlatformSettings
from services.platform.tracing import Kind
from services.platform.tracing_otlp import OtlpRecorder
from tests.integration.support.otlp import Receiver


def send(receiver: Receiver, ca_file: str) -> None:
    recorder = OtlpRecorder(
        "ingest",
        "ingest-1",
        receiver.url,
        1.0,
        headers="authorization=Bearer%20of-the-receiver, x-org=county",
        ca_file=ca_file,
    )
    recorder.begin("POST /v1/events", Kind.SERVER, None, {}, (), None).end()
    recorder.shut_down(10)


def test_the_receiver_is_trusted_by_its_ca_and_is_sent_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # of the exporter's HTTP client, and before any other
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ours.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "others.pem")
    with Receiver(context) as receiver:
        send(receiver, str(tmp_path / "ours.pem"))
        assert [span.name for span in receiver.spans] == ["POST /v1/events"]
        assert receiver.headers[0]["authorization"] == "Bearer of-the-receiver"
        assert receiver.headers[0]["x-org"] == "county"
        dropped = SPANS.labels("dropped")._value.get()
        send(receiver, str(tmp_path / "others.pem"))
        assert len(receiver.spans) == 1
        assert SPANS.labels("dropped")._value.get() == dropped + 1


@pytest.mark.parametrize(
    ("headers", "ca_file", "blamed"),
    [
        ("Bearer of-the-receiver", "", "SALLYPORT_OTLP_HEADERS"),
        ("a=b,Bearer", "", "SALLYPORT_OTLP_HEADERS"),
        ("", "/no/such.pem", "SALLYPORT_OTLP_CA_FILE"),
    ],
)
def test_what_is_no_header_and_no_ca_is_said_at_the_start(headers: str, ca_file: str, blamed: str) -> None:
    with pytest.raises(ConfigurationError, match=blamed) as refused:
        OtlpRecorder("ingest", "ingest-1", "https://localhost:1", 1.0, headers=headers, ca_file=ca_file)
    assert "of-the-receiver" not in str(refused.value)


def test_the_token_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "otlp_headers").write_text("authorization=Bearer%20x\n")
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path))
    settings = PlatformSettings()
    assert settings.otlp_headers.get_secret_value() == "authorization=Bearer%20x"
    assert "Bearer" not in repr(settings)
