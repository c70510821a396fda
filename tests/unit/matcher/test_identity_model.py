"""The model is there, or the matcher says what is wrong with it and does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.matcher.app import MatcherService
from services.matcher.domain.identity.model import encode
from services.matcher.identity_model import IdentityModelUnreadable, load_model
from services.matcher.settings import MatcherSettings
from services.platform.service import Stop


def test_an_operators_own_file_decides(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_bytes(encode(load_model()).replace(b'"version"', b'"version" '))
    assert load_model(own) == load_model()


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"{", b"[]", b'{"version": "1"}', encode(load_model()).replace(b'"sex"', b'"sexes"')]
)
def test_a_broken_model_stops_the_start_with_a_code(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(raw)
    with pytest.raises(IdentityModelUnreadable, match=r"broken\.json: "):
        MatcherService(MatcherSettings(allow_plaintext=True, identity_model=file), Stop())
    assert IdentityModelUnreadable.code == "identity_model_unreadable"


def test_a_model_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(IdentityModelUnreadable, match="No such file"):
        MatcherService(MatcherSettings(allow_plaintext=True, identity_model=tmp_path / "none.json"), Stop())
