"""Start, stop and look at the cluster of deploy/compose.yaml.

cluster = Cluster(Engine(), checkout_root())
cluster.up()
cluster.url("ingest"), cluster.url("notifier")      # http://127.0.0.1:8081, …
cluster.sallyport("registry", "apply", file=file)   # as the operator, with his credentials
cluster.compose.container("kafka-2")                # its id, for `docker kill`
cluster.down(data=True)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.cluster.compose import Compose, with_dotenv
from deploy.cluster.secret_files import ensure_secrets
from deploy.devstack.processes import wait_until
from deploy.images.build import build_images, image_name, may_be_older
from deploy.images.engine import Engine
from deploy.images.errors import ClusterNotReady
from deploy.images.thirdparty import ensure_thirdparty
from deploy.images.wheels import SERVICES

__all__ = ["HOST_AS_SEEN_INSIDE", "OUTSIDE_ON_HOST", "Cluster", "Part", "as_operator", "secrets_directory"]

OUTSIDE_ON_HOST = "compose/outside-on-host.yaml"
"""The overlay with which the notifier delivers to endpoints on this machine, in plain HTTP: for trying out only."""
HOST_AS_SEEN_INSIDE = "host.docker.internal"
"""What that overlay calls this machine."""
_EDGED = ("ingest", "matcher-1", "matcher-2", "notifier")
_READY_S = 240.0
_RESTARTS = 4
_HEALTH_CHECK = ("/opt/sallyport/bin/python", "-I", "-S", "/opt/sallyport/healthy.py")


def secrets_directory(root: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the secrets of the cluster are; a relative COMPOSE_SECRETS is meant from deploy/, as Compose takes it."""
    named = with_dotenv(root, environ).get("COMPOSE_SECRETS", "")
    return root / "deploy" / named if named else root / "deploy" / "compose" / "secrets"


@dataclass(frozen=True)
class Part:
    """state: of the container, as the engine says. health: "" where there is no check."""

    service: str
    state: str
    health: str
    image: str

    @property
    def is_well(self) -> bool:
        """The set-up has done its work and ended; everything else runs, and its check finds no fault."""
        if self.service == "setup":
            return self.state == "exited (0)"
        return self.state == "running" and self.health in ("", "healthy")


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"cluster: {text}\n")


class Cluster:
    """overlays: further compose files, such as OUTSIDE_ON_HOST. environ: variables of compose.yaml, beside our own.
    say: is told what takes long. Every method raises ImagesError: a message says what is missing."""

    def __init__(
        self,
        engine: Engine,
        root: Path,
        *,
        overlays: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _to_stderr,
    ) -> None:
        self.engine = engine
        self.root = root
        self._say = say
        self._environ = dict(environ or {})
        self._overlays = list(overlays)
        self.compose = Compose(root, self._environ, self._overlays)
        self.without: list[str] = []

    @property
    def secrets(self) -> Path:
        """The directory of this cluster's secrets."""
        return secrets_directory(self.root, {**os.environ, **self._environ})

    def prepare(self) -> None:
        """Images and secrets: whatever is not there yet is made. Images that may be of other code are told of."""
        said = with_dotenv(self.root, {**os.environ, **self._environ})
        if not said.get("SALLYPORT_REGISTRY"):
            ours = [image_name(service, said) for service in SERVICES]
            if not all(map(self.engine.has_image, ours)):
                build_images(self.engine, self.root, said)
            elif old := [image for image in ours if may_be_older(self.engine, self.root, image)]:
                self._say(f"{', '.join(old)} may be older than this checkout: `make images` builds them anew")
        self._environ = {**ensure_thirdparty(self.engine, self.root, said), **self._environ}
        self.without = ["grafana"] if not self._environ["GRAFANA_IMAGE"] else []
        # Compose takes a variable that is set to nothing as not set, but an image it must have.
        named = {name: value for name, value in self._environ.items() if value}
        self.compose = Compose(self.root, named, self._overlays)
        ensure_secrets(self.secrets)

    def up(self, deadline_s: float = _READY_S) -> None:
        """Start what does not run as it should, and return once everything is ready."""
        self.prepare()
        wanted = [name for name in self.compose.services() if name not in self.without]
        self._say(f"starting {', '.join(wanted)}")
        done = self.compose.run(
            "up", "--detach", "--no-build", "--quiet-pull", "--remove-orphans", *wanted, check=False
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["?"])[-1]
            named = next((name for name in wanted if re.search(rf"\b{re.escape(name)}\b", said)), None)
            tail = f": {self._tail(named)}" if named is not None else ""
            raise ClusterNotReady(f"the cluster did not come up: {said}{tail}")
        self.wait_ready(deadline_s)

    def wait_ready(self, deadline_s: float = _READY_S, services: Sequence[str] = _EDGED) -> None:
        """Return once every check says healthy, and `services` say on /readyz that they can work."""
        self._say("waiting until all is ready")
        waiting: list[str] = []
        restarts: dict[str, int] = {}

        def ready() -> bool:
            self._raise_if_restarting(restarts)
            waiting[:] = [part.service for part in self.status() if not part.is_well]
            waiting.extend(name for name in services if name not in waiting and not self.is_ready(name))
            return not waiting

        if not wait_until(ready, seconds=deadline_s, every_s=1.0):
            raise ClusterNotReady(
                f"not ready within {deadline_s:.0f} s: {', '.join(waiting)}; "
                f"{waiting[0]} says: {self._tail(waiting[0])}"
            )

    def _raise_if_restarting(self, before: dict[str, int]) -> None:
        """A container that ends again and again will not do better for being waited for. before: container -> restarts
        at the first look, since the engine counts all that a container has had in its life."""
        running = self.compose.run("ps", "--quiet", timeout_s=60).stdout.split()
        for found in self.engine.inspect(*running) if running else ():
            restarts = found["RestartCount"]
            if restarts - before.setdefault(found["Id"], restarts) >= _RESTARTS:
                service = found["Config"]["Labels"]["com.docker.compose.service"]
                raise ClusterNotReady(f"{service} ends again and again: {self._tail(service)}")

    def _tail(self, service: str) -> str:
        said = self.compose.run("logs", "--no-log-prefix", "--tail=3", service, check=False, timeout_s=60).stdout
        return " ".join(said.split())[-600:]

    def is_ready(self, service: str) -> bool:
        """Whether a service of ours answers 200 on /readyz."""
        done = self.compose.run("exec", "-T", service, *_HEALTH_CHECK, "/readyz", check=False, timeout_s=60)
        return done.returncode == 0

    def down(self, *, data: bool = False) -> None:
        """Stop and remove the containers, each drained. data: the volumes go too; nothing brings them back."""
        self.compose.run("down", "--remove-orphans", *(["--volumes"] if data else []))

    def status(self) -> list[Part]:
        """Every container of the cluster, stopped ones too."""
        return [
            Part(c["Service"], f"{c['State']}{_exit(c)}", c.get("Health", ""), c["Image"])
            for c in self.compose.containers()
        ]

    def url(self, service: str) -> str:
        """Of `ingest` or `notifier`, from this machine."""
        return self.compose.url(service)

    def address(self, service: str, network: str = "observe") -> str:
        """The address of a container in one of the networks; the engine's own machine reaches it (Linux)."""
        (found,) = self.engine.inspect(self.compose.container(service))
        networks = found["NetworkSettings"]["Networks"]
        return next((str(of["IPAddress"]) for name, of in networks.items() if name.endswith(f"_{network}")), "")

    def sallyport(self, *arguments: str, file: Path | None = None) -> str:
        """`sallyport ARGUMENTS…` as `as_operator` has it, to its end; what it printed."""
        return self.compose.run(*as_operator(*arguments, file=file)).stdout


def as_operator(*arguments: str, file: Path | None = None) -> list[str]:
    """What Compose is told for `sallyport ARGUMENTS…` as the operator, in a container of its own.

    file: is appended to the arguments, and mounted; everybody must be able to read it.
    """
    mount = [f"--volume={file}:/tmp/{file.name}:ro"] if file else []
    last = [f"/tmp/{file.name}"] if file else []  # noqa: S108 - inside the container
    return ["run", "--rm", "--no-deps", "--no-TTY", "--entrypoint=sallyport", *mount, "setup", *arguments, *last]


def _exit(container: Mapping[str, object]) -> str:
    return f" ({container['ExitCode']})" if container["State"] == "exited" else ""
