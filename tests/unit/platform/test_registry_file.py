"""Registry files as a command is given them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from services.platform.errors import ContractViolation
from services.platform.operator.registry import load_registry

RECORDS = b"records: [{kind: facility, id: CT0640099, name: Example, state: CT, time_zone: America/New_York}]"


def test_a_registry_file_may_be_a_pipe(tmp_path: Path) -> None:
    """`kubectl exec -i … sallyport registry apply /dev/stdin < FILE`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(RECORDS,))
    writer.start()
    (found,) = load_registry(pipe)
    writer.join()
    assert found.id == "CT0640099"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "file_unreadable"),
        (b"\xff\xfe", "registry_file_invalid"),
        (b"records: [", "registry_file_invalid"),
        (b"[]", "registry_file_invalid"),
        (b"records: [{kind: nosuch}]", "registry_record_invalid"),
    ],
)
def test_one_that_cannot_be_taken_is_told_by_its_reason(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "registry.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ContractViolation) as refused:
        load_registry(file)
    assert refused.value.reason == reason
