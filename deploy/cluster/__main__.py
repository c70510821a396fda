"""`python -m deploy.cluster up|down|smoke|status|sallyport|compose`: what `make up`, `make down` and `make smoke` run.

up                  build what is missing, start what does not run, wait until all is ready
down [--data]       stop; with --data the volumes go too
smoke               the Hartford case through the running cluster
status              what runs, and where
sallyport ARG…      the command line as the operator; a last argument that is a file here is mounted there
compose ARGUMENT…   Docker Compose with our file and this machine's images, such as `compose logs -f matcher-1`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.cluster.control import Cluster, as_operator
from deploy.cluster.smoke import smoke
from deploy.demo.access import ApiError
from deploy.demo.processes import NotReady, interruptible
from deploy.demo.sender import NotTaken
from deploy.devstack.stack import checkout_root
from deploy.images.engine import Engine
from deploy.images.errors import ImagesError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 something is missing or did not come (one line says what), 2 wrong usage."""
    command = arguments[0] if arguments else ""
    if command not in ("up", "down", "smoke", "status", "sallyport", "compose"):
        sys.stderr.write(__doc__ or "")
        return 2
    interruptible()
    console = Console()
    try:
        cluster = Cluster(Engine(), checkout_root())
        if command == "up":
            cluster.up()
            _edges(cluster, console)
        elif command == "down":
            cluster.down(data="--data" in arguments)
        elif command == "smoke":
            return 0 if smoke(cluster, console) else 1
        elif command == "status":
            _status(cluster, console)
        elif command == "sallyport":
            last = Path(arguments[-1])
            file = last.resolve() if len(arguments) > 1 and last.is_file() else None
            _become(cluster, as_operator(*arguments[1 : -1 if file else None], file=file))
        else:
            _become(cluster, arguments[1:])
    except (ImagesError, ApiError, NotReady, NotTaken) as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("cluster: interrupted; `make down` stops what runs\n")
        return 130
    return 0


def _become(cluster: Cluster, arguments: Sequence[str]) -> None:
    """Go on as Compose: its output, its time and its exit status are the command's own."""
    cluster.prepare()
    whole = [*cluster.compose.command, *arguments]
    os.execvpe(whole[0], whole, cluster.compose.environ)  # noqa: S606 - the terminal is the command's


def _edges(cluster: Cluster, console: Console) -> None:
    console.print(f"ingest      {cluster.url('ingest')}", highlight=False)
    console.print(f"notifier    {cluster.url('notifier')}", highlight=False)
    console.print(f"prometheus  http://{cluster.address('prometheus')}:9090 (this machine only)", highlight=False)
    if "grafana" in cluster.without:
        console.print("grafana     not started: its image is not here and cannot be fetched")
    else:
        console.print(f"grafana     http://{cluster.address('grafana')}:3000 (this machine only)", highlight=False)
    console.print(f"secrets     {cluster.secrets}", highlight=False)
    console.print("API keys    yours to make: docs/compose.md", highlight=False)


def _status(cluster: Cluster, console: Console) -> None:
    table = Table("service", "state", "health", "image")
    for part in sorted(cluster.status(), key=lambda part: part.service):
        style = "green" if part.is_well else "red"
        table.add_row(part.service, f"[{style}]{part.state}[/]", part.health or "—", part.image)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
