"""SIGTERM while a command line is still being imported: a service ends with 0, anything else as the system has it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STUCK = """
import os, signal
print("importing", flush=True)
signal.pause()
"""
"""In the place of the first package that the command line imports: the import does not end."""
AS_PROCESS_1 = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def _start(stuck: Path, *command: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    (stuck / "cyclopts.py").write_text(STUCK)
    started = subprocess.Popen(
        [*before, sys.executable, "-m", "services.platform.cli", *command],
        env={**os.environ, "PYTHONPATH": str(stuck)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "importing\n"
    return started


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("command", "ends_with"),
    [("ingest", 0), ("matcher", 0), ("notifier", 0), ("migrate", -signal.SIGTERM), ("topics", -signal.SIGTERM)],
)
def test_a_service_that_is_asked_to_end_while_it_is_imported_does(tmp_path: Path, command: str, ends_with: int) -> None:
    with _start(tmp_path, command) as started:
        started.terminate()
        assert started.wait(30) == ends_with


@pytest.mark.timeout(60)
def test_as_process_1_too_for_which_the_kernel_drops_a_signal_without_a_handler(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*AS_PROCESS_1, "true"], capture_output=True).returncode != 0:
        pytest.skip("no PID namespaces here")
    with _start(tmp_path, "ingest", before=AS_PROCESS_1) as started:
        (process_1,) = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        os.kill(int(process_1), signal.SIGTERM)
        try:
            assert started.wait(30) == 0
        finally:
            started.kill()
