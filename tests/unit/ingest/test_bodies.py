"""Compressed bodies: complete, of their kind, and never larger than allowed once inflated."""

from __future__ import annotations

import gzip

import pytest

from services.ingest.api.gate import inflate
from services.ingest.domain.refusal import Refused

TEXT = b"roster " * 10_000


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
async def test_gzip_of_one_or_more_members_is_undone(encoding: str) -> None:
    assert await inflate(gzip.compress(TEXT) + gzip.compress(b"more") + b"\0" * 9, encoding, 100_000) == TEXT + b"more"


@pytest.mark.parametrize("encoding", [None, "", "identity"])
async def test_what_is_not_compressed_stays(encoding: str | None) -> None:
    assert await inflate(TEXT, encoding, 5) == TEXT


@pytest.mark.parametrize(
    ("raw", "encoding", "code"),
    [
        (TEXT, "br", "content_encoding_unsupported"),
        (TEXT, "gzip", "gzip_invalid"),
        (gzip.compress(TEXT) + b"rubbish", "gzip", "gzip_invalid"),
        (gzip.compress(TEXT)[:-1], "gzip", "gzip_truncated"),
        (gzip.compress(TEXT)[:40], "gzip", "gzip_truncated"),
        (b"", "gzip", "gzip_truncated"),
        (gzip.compress(TEXT + b"\0" * 40_000), "gzip", "body_too_large"),
        (gzip.compress(b"\0" * 200_000_000, 1), "gzip", "body_too_large"),
        (gzip.compress(TEXT) * 2, "gzip", "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_undone_is_refused(raw: bytes, encoding: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await inflate(raw, encoding, 100_000)
    assert refused.value.code == code
