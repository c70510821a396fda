"""A committed reader of what the matchers say, as a container beside them: kafka-python, with the notifier's rights."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from contracts.types.conflict import Conflict, Review
from deploy.cluster.control import Cluster
from deploy.devstack.processes import read_tail, wait_until

__all__ = ["OVERLAY", "ContainerReader"]

OVERLAY: Final = "../tests/e2e/reader.yaml"
"""Seen from deploy/, as compose sees it."""
_NAME: Final = "sallyport-e2e-reader"
_CONFLICTS: Final = "conflicts.v1"
_REVIEWS: Final = "reviews.v1"
_decode_conflict = msgspec.json.Decoder(Conflict).decode
_decode_review = msgspec.json.Decoder(Review).decode


class ContainerReader:
    """A context manager. cluster: with `OVERLAY`. directory: what was read is written there, and complaints."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._lines = directory / "reader.tsv"
        self._complaints = directory / "reader.log"
        self._read = 0
        self._conflicts: list[Conflict] = []
        self._reviews: list[Review] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        compose = self._cluster.compose
        self._remove()  # of a run that was killed
        with self._lines.open("wb") as lines, self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                [*compose.command, "run", "--rm", "--no-TTY", f"--name={_NAME}", "reader"],
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=complaints,
                env=compose.environ,
            )
        try:
            if not wait_until(
                lambda: self._lines.read_bytes().startswith(b"ready\n") or bool(self.failed), seconds=180
            ):
                raise AssertionError(f"the reader does not read: {read_tail(self._complaints)}")
            if self.failed is not None:
                raise self.failed
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._remove()
        if self._process is not None:
            self._process.wait(60)

    def _remove(self) -> None:
        """By its name: what only watches it, and is ended, leaves it behind."""
        self._cluster.engine.run("rm", "--force", _NAME, check=False)

    @property
    def failed(self) -> BaseException | None:
        """The reader runs as long as we do."""
        if self._process is None or self._process.poll() is None:
            return None
        return RuntimeError(f"the reader ended with {self._process.returncode}: {read_tail(self._complaints)}")

    @property
    def conflicts(self) -> Sequence[Conflict]:
        self._take()
        return self._conflicts

    @property
    def reviews(self) -> Sequence[Review]:
        self._take()
        return self._reviews

    def _take(self) -> None:
        """What has come since the last time; a line that is still being written waits for the next."""
        with self._lines.open("rb") as lines:
            lines.seek(self._read)
            whole, _, _ = lines.read().rpartition(b"\n")
        if not whole:
            return
        self._read += len(whole) + 1
        for line in whole.split(b"\n"):
            topic, _, value = line.partition(b"\t")
            if topic == _CONFLICTS.encode():
                self._conflicts.append(_decode_conflict(value))
            elif topic == _REVIEWS.encode():
                self._reviews.append(_decode_review(value))
