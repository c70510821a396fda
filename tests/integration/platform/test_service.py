"""How a service process ends: 0 when it was asked to and has drained, 1 in every other case, and never late."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.platform import runner_probe

DEADLINE_S = 60.0
Ended = tuple[int, list[str], list[dict[str, Any]]]


@contextmanager
def probe(mode: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", runner_probe.__name__, mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == "started\n":
            return
    raise AssertionError("it ended before it had started")


def ended(process: subprocess.Popen[str]) -> Ended:
    """(exit status, what it printed, what it logged); standard error must be empty."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert err == ""
    lines = out.splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    return process.returncode, [line for line in lines if not line.startswith("{")], logged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(number: signal.Signals) -> None:
    with probe("well") as process:
        until_started(process)
        process.send_signal(number)
        status, printed, logged = ended(process)
    assert status == 0
    assert printed == ["stopping", "drained within 0.5"]
    assert [(line["event"], line.get("signal")) for line in logged] == [("stopping", number.name), ("stopped", None)]


def test_a_signal_in_the_middle_of_the_start_ends_with_0() -> None:
    with probe("start-hangs") as process:
        until_started(process)
        process.terminate()
        status, printed, _ = ended(process)
    assert (status, printed) == (0, ["stopping", "drained within 0.5"])


def test_a_task_that_fails_ends_the_process_with_1_and_without_the_text_of_the_error() -> None:
    with probe("task-fails") as process:
        status, printed, logged = ended(process)
    assert status == 1
    assert printed == ["started", "stopping", "drained within 0.5"]
    assert ("failed", "ValueError") in [(line["event"], line.get("error")) for line in logged]
    assert runner_probe.NAME not in json.dumps(logged)


def test_a_start_that_fails_ends_with_1_and_closes_what_was_opened() -> None:
    with probe("start-fails") as process:
        status, printed, logged = ended(process)
    assert status == 1
    assert printed == ["stopping", "drained within 0.5"]
    assert any("no broker answers" in line.get("exception", "") for line in logged)


def test_a_drain_that_hangs_is_cut_off_with_1() -> None:
    with probe("stop-hangs") as process:
        until_started(process)
        process.terminate()
        asked = time.monotonic()
        status, printed, logged = ended(process)
        took = time.monotonic() - asked
    assert (status, printed) == (1, ["stopping"])
    assert logged[-1]["event"] == "drain_deadline_passed"
    assert took < 20  # the deadline of 0.5 s, and 5 s in which the service may still close


def test_a_drain_that_fails_ends_with_1_and_without_the_text_of_the_error() -> None:
    with probe("stop-fails") as process:
        until_started(process)
        process.terminate()
        status, printed, logged = ended(process)
    assert (status, printed) == (1, ["stopping"])
    assert "failed" in [line["event"] for line in logged]
    assert runner_probe.NAME not in json.dumps(logged)
