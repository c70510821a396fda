"""Kafka's jars are the pinned ones or none."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.devstack import cli
from deploy.devstack.errors import DownloadFailed, JarMismatch, LockFileInvalid
from deploy.devstack.jars import LOCK_FILE, JarLock, LockedJar, check_jar, ensure_jars

CONTENT = b"not really a jar, but these very bytes"
JAR = LockedJar("org.example:thing:1.0", "thing-1.0.jar", hashlib.sha256(CONTENT).hexdigest())
LOCK = JarLock("0.0", (JAR,))
# The discard port of this machine: nobody listens there.
NOWHERE = {"SALLYPORT_MAVEN_REPOSITORY": "http://127.0.0.1:9/maven"}


class _Repository(ThreadingHTTPServer):
    """A Maven repository on the loopback that has what `files` says, by path."""

    def __init__(self) -> None:
        files: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files

    @property
    def environ(self) -> dict[str, str]:
        return {"SALLYPORT_MAVEN_REPOSITORY": f"http://127.0.0.1:{self.server_port}"}


@pytest.fixture
def repository() -> Iterator[_Repository]:
    with _Repository() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_jar_with_one_changed_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / JAR.file
    path.write_bytes(CONTENT)
    check_jar(path, JAR)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(JarMismatch, match="not the pinned file"):
        check_jar(path, JAR)


def test_a_fetched_jar_is_kept_and_not_fetched_again(tmp_path: Path, repository: _Repository) -> None:
    repository.files["/org/example/thing/1.0/thing-1.0.jar"] = CONTENT
    said: list[str] = []
    paths = ensure_jars(tmp_path, lock=LOCK, environ=repository.environ, say=said.append)
    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert said == ["fetching 1 jars of Kafka 0.0", "fetched 1 of 1 jars of Kafka 0.0"]
    assert ensure_jars(tmp_path, lock=LOCK, environ=NOWHERE) == paths


def test_a_changed_jar_in_the_cache_is_replaced(tmp_path: Path, repository: _Repository) -> None:
    repository.files["/org/example/thing/1.0/thing-1.0.jar"] = CONTENT
    (tmp_path / JAR.file).write_bytes(b"something else")
    (path,) = ensure_jars(tmp_path, lock=LOCK, environ=repository.environ)
    assert path.read_bytes() == CONTENT


def test_a_repository_that_serves_something_else_is_refused(tmp_path: Path, repository: _Repository) -> None:
    repository.files["/org/example/thing/1.0/thing-1.0.jar"] = CONTENT + b"and more"
    with pytest.raises(JarMismatch):
        ensure_jars(tmp_path, lock=LOCK, environ=repository.environ)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_in_one_line_what_was_missing_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed) as caught:
        ensure_jars(tmp_path, lock=LOCK, environ=NOWHERE)
    message = str(caught.value)
    assert "\n" not in message
    for part in (JAR.coordinate, "ConnectionError", "SALLYPORT_MAVEN_REPOSITORY", "KAFKA_BOOTSTRAP_SERVERS"):
        assert part in message
    assert "127.0.0.1" not in message, "an address of a repository may have a password in it"
    assert list(tmp_path.iterdir()) == []


def test_a_repository_without_the_jar_is_named_as_the_cause(tmp_path: Path, repository: _Repository) -> None:
    with pytest.raises(DownloadFailed, match="the repository does not have it"):
        ensure_jars(tmp_path, lock=LOCK, environ=repository.environ)


def test_the_command_prints_that_line_alone_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "checkout_root", lambda: tmp_path)
    monkeypatch.setenv("SALLYPORT_MAVEN_REPOSITORY", NOWHERE["SALLYPORT_MAVEN_REPOSITORY"])
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.app(["up"], result_action="return_value")
    assert caught.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = [line for line in said.err.splitlines() if line.startswith("sallyport dev:")]
    assert "could not fetch" in line
    assert "Traceback" not in said.err


def test_the_lock_file_says_what_and_not_from_where() -> None:
    lock = JarLock.read()
    text = LOCK_FILE.read_text()
    assert "://" not in text
    assert any(jar.coordinate == f"org.apache.kafka:kafka_2.13:{lock.kafka}" for jar in lock.jars)
    assert all(len(jar.sha256) == 64 and jar.file.endswith(".jar") for jar in lock.jars)
    assert len({jar.file for jar in lock.jars}) == len(lock.jars)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"kafka": "4", "jars": []}',
        '{"kafka": "4", "jars": [{"coordinate": "a:b:1"}]}',
        '{"kafka": "4", "jars": [{"coordinate": "a:b:1", "file": "../b.jar", "sha256": "00"}]}',
    ],
)
def test_a_lock_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jars.lock.json"
    path.write_text(content)
    with pytest.raises(LockFileInvalid):
        JarLock.read(path)


def test_a_lock_file_reads_as_it_was_written(tmp_path: Path) -> None:
    LOCK.write(tmp_path / "lock.json")
    assert JarLock.read(tmp_path / "lock.json") == LOCK
