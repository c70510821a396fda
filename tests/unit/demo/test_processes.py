"""The runner of services as processes: it waits, kills, collects, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.demo.processes import NotReady, ProcessGroup
from deploy.devstack.processes import wait_until

_SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), os._exit(0)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_): pass
print('{"event": "serving"}', flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["SALLYPORT_HTTP_PORT"])), Handler).serve_forever()
"""


def test_a_process_is_waited_for_killed_and_started_again_on_its_port(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group:
        server = group.program("server", ["-c", _SERVER], {})
        server.start()
        server.wait_ready()
        url = server.url
        server.kill()
        assert server.exit_status == -signal.SIGKILL
        assert server.get("/readyz")[0] == 0
        server.start()
        server.wait_ready()
        assert (server.url, server.starts) == (url, 2)
    assert server.exit_status == 0
    assert [e["event"] for e in server.log_events()] == ["serving", "serving"]
    assert server.log_text().endswith("drained\n")


def test_a_process_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group:
        server = group.program("broken", ["-c", "import sys; sys.exit('no such setting')"], {})
        server.start()
        with pytest.raises(NotReady, match="status 1; log: no such setting"):
            server.wait_ready()


def test_what_is_set_here_for_sallyport_does_not_reach_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_LOG_LEVEL", "debug")
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/")
    environment = ProcessGroup.environment({"SALLYPORT_HTTP_PORT": "1"})
    assert "DATABASE_URL" not in environment
    assert {k: v for k, v in environment.items() if k.startswith("SALLYPORT_")} == {"SALLYPORT_HTTP_PORT": "1"}


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from deploy.demo.processes import ProcessGroup\n"
            "p = ProcessGroup(Path(sys.argv[1])).program('s', ['-c', 'import time; time.sleep(600)'], {})\n"
            "p.start(); print(p.pid, flush=True); time.sleep(600)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    def gone() -> bool:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    assert wait_until(gone, seconds=60)
