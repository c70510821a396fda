"""What is said where an image of another's cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.devstack.errors import DevStackError, DownloadFailed, LockFileInvalid
from deploy.images import thirdparty


@pytest.mark.parametrize("error", [DownloadFailed("no jar: try again"), LockFileInvalid("no lock file")])
def test_jars_that_cannot_be_had_are_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: DevStackError
) -> None:
    def fail(*_: Path, **__: Any) -> list[Path]:
        raise error

    monkeypatch.delenv("KAFKA_IMAGE", raising=False)
    monkeypatch.setattr(thirdparty, "Engine", lambda: None)
    monkeypatch.setattr(thirdparty, "ensure_jars", fail)
    assert thirdparty.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("images: no image of Kafka can be built, and KAFKA_IMAGE names none: ")
    assert line.endswith(str(error))
