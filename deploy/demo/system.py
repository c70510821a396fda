"""Sallyport as it runs: topics, registry, database, three services and the world outside, each a real process.

    with System(stack, directory) as system:
        system.ingest.url, system.keys["jail-cthrtfd00"], system.arrivals()

What the issue's acceptance does to it (kill -9) is done to `system.services`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from cryptography.fernet import Fernet

from contracts.types.registry import RegistryRecord
from deploy.demo.access import Access
from deploy.demo.outside import Arrival, read_arrivals
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.demo.world.places import AGENCIES, Credentials, Office, credentials
from deploy.devstack.processes import choose_port
from deploy.devstack.stack import StackInfo

__all__ = ["System"]


class System(Access):
    """A context manager: ready on entry, gone on exit.

    directory: logs and the arrivals go there. made: keys and registry; one source for every jail and agency by default.
    extra: further registry records. settings: of all services, such as shorter session timeouts in a test.
    logins: by `ingest`, `matcher`, `notifier` and `operator`, settings of that one alone.
    answer_after_s: so long does each endpoint outside take to say that it has taken a webhook.
    say: is told what takes long.
    """

    ingest: ServiceProcess
    notifier: ServiceProcess

    def __init__(
        self,
        stack: StackInfo,
        directory: Path,
        *,
        made: Credentials | None = None,
        extra: Sequence[RegistryRecord] = (),
        settings: dict[str, str] | None = None,
        logins: Mapping[str, Mapping[str, str]] | None = None,
        agencies: Sequence[Office] = AGENCIES,
        answer_after_s: float = 0.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        made = made or credentials()
        self.stack = stack
        self.directory = directory
        super().__init__(made.keys, agencies)
        self._records = [*made.records, *extra]
        self._say = say
        self._arrivals = directory / "arrivals.jsonl"
        self.smtp_port = choose_port()
        common = {**stack.environ(), "SALLYPORT_PROBE_INTERVAL_S": "1", **(settings or {})}
        logins = logins or {}
        self.group = ProcessGroup(directory)
        self.outside = self.group.program(
            "outside",
            ["-m", "deploy.demo.outside"],
            {
                "DEMO_SMTP_PORT": str(self.smtp_port),
                "DEMO_ARRIVALS": str(self._arrivals),
                "DEMO_ANSWER_AFTER_S": str(answer_after_s),
            },
        )
        self.ingest = self.group.service("ingest", {**common, **logins.get("ingest", {})})
        self.search_token = secrets.token_urlsafe(24)
        self.matcher = self.group.service(
            "matcher",
            {**common, "SALLYPORT_IDENTITY_SEARCH_TOKEN": self.search_token, **logins.get("matcher", {})},
        )
        self._notifier_settings = {
            **common,
            "SALLYPORT_ALLOW_PRIVATE_ENDPOINTS": "true",
            "SALLYPORT_ALLOW_PLAIN_HTTP": "true",
            "SALLYPORT_SMTP_HOST": "127.0.0.1",
            "SALLYPORT_SMTP_PORT": str(self.smtp_port),
            "SALLYPORT_SMTP_STARTTLS": "false",
            "SALLYPORT_SECRETS_KEYS": Fernet.generate_key().decode(),
            **logins.get("notifier", {}),
        }
        self.notifier = self.group.service("notifier", self._notifier_settings)
        self._operator_settings = {**common, **logins.get("operator", {})}

    @property
    def services(self) -> list[ServiceProcess]:
        return [self.ingest, self.matcher, self.notifier]

    @property
    def consumers(self) -> list[ServiceProcess]:
        return [self.matcher, self.notifier]

    def arrivals(self) -> list[Arrival]:
        """What has reached the world outside so far."""
        return read_arrivals(self._arrivals)

    def _prepare(self) -> None:
        self._say("topics, registry, database")
        self.group.run(["topics", "apply"], self._operator_settings)
        registry = self.directory / "registry.json"
        registry.write_bytes(msgspec.json.encode({"records": self._records}))
        self.group.run(["registry", "apply", str(registry)], self._operator_settings)
        self.group.run(["migrate"], self._notifier_settings)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self.outside.start()
            self._prepare()
            self._say("ingest, matcher, notifier")
            for service in self.services:
                service.start()
            for service in (self.outside, *self.services):
                service.wait_ready()
            self._say("subscriptions")
            self.subscribe(self.outside.url, self.outside.url)
        except BaseException:
            self.group.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.group.stop()
