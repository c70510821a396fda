"""What is remembered of a stack, and whom it may stop."""

from __future__ import annotations

import dataclasses
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.devstack.errors import ServerNotReachable, StackBusy
from deploy.devstack.processes import ServerProcess, choose_port, port_is_free, processes_with, wait_until
from deploy.devstack.stack import DevStack
from deploy.devstack.state import StackState, locked


@pytest.fixture
def sleeper(suffix: str) -> Iterator[ServerProcess]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", suffix])
    sleeper = ServerProcess(child.pid, psutil.Process(child.pid).create_time(), suffix)
    assert wait_until(lambda: sleeper.is_running, seconds=60)  # the kernel may still be loading it
    yield sleeper
    child.kill()
    child.wait()


def test_the_state_reads_as_it_was_written_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    state = StackState(kafka_port=20001, kafka=ServerProcess(12, 3.5, "-Dx"), postgres_password="secret")
    state.write(path)
    assert StackState.read(path) == state
    assert path.stat().st_mode & 0o077 == 0


def test_no_state_and_a_spoilt_one_are_a_fresh_one(tmp_path: Path) -> None:
    assert StackState.read(tmp_path / "none.json") == StackState()
    (tmp_path / "spoilt.json").write_text('{"kafka_port": 2')
    assert StackState.read(tmp_path / "spoilt.json") == StackState()


def test_a_process_is_recognised_and_stopped(sleeper: ServerProcess) -> None:
    assert sleeper.is_running
    assert processes_with(sleeper.marker) == [sleeper]
    sleeper.stop([(signal.SIGTERM, 60)])
    assert not sleeper.is_running


@pytest.mark.parametrize("change", [{"started_at": 1_000_000.0}, {"marker": "-Dsomebody.else"}])
def test_a_recycled_pid_is_never_stopped(sleeper: ServerProcess, change: dict[str, float | str]) -> None:
    other = dataclasses.replace(sleeper, **change)  # type: ignore[arg-type]
    assert not other.is_running
    other.stop([(signal.SIGKILL, 10)])
    assert sleeper.is_running


def test_the_lock_keeps_others_out_and_is_free_again_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "stack" / "lock"
    with locked(path, seconds=0), pytest.raises(StackBusy), locked(path, seconds=0):
        pass
    with locked(path, seconds=0):
        path.unlink()  # as `down --delete` does
        with locked(path, seconds=0):
            pass


def test_a_port_is_kept_unless_it_is_taken() -> None:
    port = choose_port()
    assert choose_port(kept=port) == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not port_is_free(port)
        assert choose_port(kept=port) != port


def test_a_server_named_by_the_environment_that_does_not_answer_is_named(tmp_path: Path) -> None:
    port = choose_port()
    for setting, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}"),
        ("DATABASE_URL", f"postgresql://someone:hush@127.0.0.1:{port}/x"),
    ):
        with pytest.raises(ServerNotReachable, match=setting) as caught:
            DevStack(tmp_path, environ={setting: value}).up()
        assert "hush" not in str(caught.value)
    assert not (tmp_path / ".dev" / "dev" / "kafka").exists()
