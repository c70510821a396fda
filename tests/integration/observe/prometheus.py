"""A Prometheus of our own: the configuration and the rules of deploy/observe, made quick."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from deploy.devstack.processes import choose_port, read_tail, wait_until
from tests.observe.files import OBSERVE

__all__ = ["Alerts", "Prometheus", "QueryError"]

_QUICK: Final = ((r"for: \d+m", "for: 1s"), (r"> 300\b", "> 3"))
"""What a test cannot wait for: how long a condition has to hold, and the age of a release that nobody took."""
Alerts = dict[str, list[dict[str, str]]]


class QueryError(Exception):
    """Prometheus does not take the query."""


class Prometheus:
    """A context manager: ready on entry, gone on exit. targets: job -> port on this machine."""

    def __init__(self, program: str, directory: Path, targets: Mapping[str, int]) -> None:
        self._directory = directory
        self._port = choose_port(avoid=list(targets.values()))
        self._log = directory / "prometheus.log"
        self._command = [
            program,
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        rules = directory / "rules"
        rules.mkdir(parents=True)
        for file in (OBSERVE / "rules").glob("*.yaml"):
            text = file.read_text("utf-8")
            for pattern, quick in _QUICK:
                text = re.sub(pattern, quick, text)
            (rules / file.name).write_text(text, "utf-8")
        config = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text("utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(rules / "*.yaml")]
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises QueryError."""
        found: list[dict[str, Any]] = self._api("query?" + urllib.parse.urlencode({"query": expr}))["result"]
        return found

    def value(self, expr: str) -> float | None:
        """Of a query with one series; None where there is none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> Alerts:
        """Alert -> the labels of each that fires."""
        found: Alerts = {}
        for alert in self._api("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = dict(alert["labels"])
                found.setdefault(labels.pop("alertname"), []).append(labels)
        return found

    def _api(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}", timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise QueryError(error.read().decode(errors="replace")) from None

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, read_tail(self._log, 1500)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        try:
            assert wait_until(self._is_ready, seconds=30), read_tail(self._log, 1500)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
