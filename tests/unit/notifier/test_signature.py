"""Signatures as the independent library of Standard Webhooks sees them, and secrets at rest."""

from __future__ import annotations

import time

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier.adapters.secrets import SecretBox
from services.notifier.domain.signature import SECRET_PREFIX, decode_secret, encode_secret, sign
from services.platform.errors import ConfigurationError

KEYS = [Fernet.generate_key().decode() for _ in range(3)]


def _headers(key: bytes, name: str, at: int, body: bytes) -> dict[str, str]:
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": sign(key, name, at, body)}


@given(st.binary(min_size=24, max_size=64), st.text("abcdefghijklmnopqrstuvwxyz234567_", min_size=1), st.integers())
def test_an_independent_verifier_agrees(key: bytes, name: str, number: int) -> None:
    body = b'{"n": %d}' % number
    assert Webhook(encode_secret(key)).verify(body, _headers(key, name, int(time.time()), body)) == {"n": number}


@pytest.mark.parametrize("spoilt", ["body", "id", "time", "key"])
def test_and_refuses_what_was_changed(spoilt: str) -> None:
    key, now, body = b"k" * 32, int(time.time()), b'{"a":1}'
    headers = _headers(key, "ntc_a", now, body)
    if spoilt == "id":
        headers["webhook-id"] = "ntc_b"
    if spoilt == "time":
        headers["webhook-timestamp"] = str(now + 1)
    verifier = Webhook(encode_secret(b"x" * 32 if spoilt == "key" else key))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(b'{"a":2}' if spoilt == "body" else body, headers)


@given(st.binary(min_size=1, max_size=64))
def test_a_secret_reads_back(raw: bytes) -> None:
    assert encode_secret(raw).startswith(SECRET_PREFIX)
    assert decode_secret(encode_secret(raw)) == raw


def test_what_is_kept_is_not_the_secret_and_gives_its_key_back() -> None:
    box = SecretBox(KEYS[:1])
    secret, kept = box.new()
    assert secret.encode() not in kept
    assert decode_secret(secret) not in kept
    assert box.signing_key(kept) == decode_secret(secret)
    assert len(decode_secret(secret)) == 32
    assert box.new()[0] != secret


def test_rotation_a_new_first_key_still_reads_what_the_old_one_wrote_until_that_is_gone() -> None:
    secret, kept = SecretBox(KEYS[:1]).new()
    rotated = SecretBox([KEYS[1], KEYS[0]])
    assert rotated.signing_key(kept) == decode_secret(secret)
    newer, kept_newer = rotated.new()
    assert SecretBox([KEYS[1]]).signing_key(kept_newer) == decode_secret(newer)
    with pytest.raises(ConfigurationError):
        SecretBox([KEYS[1]]).signing_key(kept)


def test_a_wrong_key_says_so_each_time_and_without_the_secret() -> None:
    secret, kept = SecretBox(KEYS[:1]).new()
    box = SecretBox([KEYS[2]])
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            box.signing_key(kept)
        assert secret not in str(caught.value)


@pytest.mark.parametrize("keys", [[], ["short"], [KEYS[0], "not a key"]])
def test_no_key_or_none_that_fernet_takes_is_a_matter_of_configuration(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        SecretBox(keys)
