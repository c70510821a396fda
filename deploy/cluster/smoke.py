"""`make smoke`: the Hartford case (DOMAIN.md) through a running cluster, by its two HTTP edges and nothing else.

The agency's endpoint is a process of this machine, and `standardwebhooks`, none of ours, checks the signatures. For it
the notifier is started anew with the overlay that lets it deliver here, and again without it afterwards. The made-up
jail and agency stay in the registry; their keys are thrown away, and their subscription is ended.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from contracts.types.conflict import Stage
from deploy.cluster.control import HOST_AS_SEEN_INSIDE, OUTSIDE_ON_HOST, Cluster
from deploy.demo.access import ApiError, call
from deploy.demo.hartford import Step, steps
from deploy.demo.outside import Arrival, read_arrivals
from deploy.demo.processes import ProcessGroup, ServiceProcess, run_directory
from deploy.demo.sender import Sender
from deploy.demo.world.people import Population
from deploy.demo.world.places import HARTFORD, ICE_BOSTON, credentials
from deploy.devstack.processes import choose_port, wait_until
from deploy.images.errors import ClusterNotReady

__all__ = ["Webhook", "smoke"]

_TOLD_WITHIN_S = 60.0
_KNOWN_WITHIN_S = 30.0


class Webhook(msgspec.Struct):
    """What a step led to. after_ms: from the beginning of the request to the last byte of the webhook."""

    step: Step
    arrival: Arrival | None = None
    after_ms: float = 0.0


def smoke(cluster: Cluster, console: Console) -> bool:
    """Play the case, print what arrived; whether every notice came, in order and with a good signature.

    Raises ImagesError, ApiError, NotTaken, NotReady.
    """
    directory = run_directory("smoke")
    outside_cluster = Cluster(cluster.engine, cluster.root, overlays=[OUTSIDE_ON_HOST])
    with ProcessGroup(directory) as group:
        port = choose_port()
        # Any address: which of this machine's a container reaches is the engine's to choose.
        settings = {
            "DEMO_HTTP_HOST": "0.0.0.0",  # noqa: S104
            "DEMO_SMTP_PORT": str(choose_port(avoid=[port])),
            "DEMO_ARRIVALS": str(directory / "arrivals.jsonl"),
        }
        outside = group.program("outside", ["-m", "deploy.demo.outside"], settings, port=port)
        outside.start()
        outside.wait_ready()
        try:
            outside_cluster.up()
            told = _play(outside_cluster, outside, directory)
        finally:
            cluster.up()
    _show(console, told)
    return all((one.arrival is not None) == (one.step.stage is not None) for one in told)


def _play(cluster: Cluster, outside: ServiceProcess, directory: Path) -> list[Webhook]:
    made = credentials([HARTFORD], [ICE_BOSTON])
    registry = directory / "registry.json"
    registry.write_bytes(msgspec.json.encode({"records": made.records}))
    registry.chmod(0o644)
    cluster.sallyport("registry", "apply", file=registry)
    notifier, key = cluster.url("notifier"), made.keys[ICE_BOSTON.source]
    subscription = _subscribe(notifier, key, outside.port)
    try:
        call("POST", f"{outside.url}/secrets", body={ICE_BOSTON.code: subscription["secret"]})
        _wait_known(cluster.url("ingest"), made.keys[HARTFORD.source])
        return _tell(Sender(cluster.url("ingest"), made.keys), directory / "arrivals.jsonl")
    finally:
        # Left behind, it would be an endpoint that fails, of every later run and to whoever watches.
        call("DELETE", f"{notifier}/v1/subscriptions/{subscription['subscription_id']}", key)


def _tell(sender: Sender, arrivals: Path) -> list[Webhook]:
    """Send the case, step by step, each only when the notice of the one before has come or is given up."""
    # Nobody whom an earlier run has left behind.
    rng = random.Random(secrets.randbits(64))  # noqa: S311 - made-up people
    story, expected = steps(Population(rng, run=secrets.randbelow(80) + 1), f"-{secrets.token_hex(4)}")
    told: list[Webhook] = []
    for step in story:
        begun = time.time()
        asyncio.run(sender.stream([step.post], 1000))
        one = Webhook(step)
        if step.stage is not None:
            one.arrival = _arrived(arrivals, expected.conflict_id, step.stage)
            one.after_ms = (one.arrival.at - begun) * 1000 if one.arrival is not None else 0.0
        told.append(one)
    return told


def _subscribe(url: str, key: str, port: int) -> dict[str, str]:
    """A subscription that delivers to this machine, made once the notifier knows the key."""
    hook = f"http://{HOST_AS_SEEN_INSIDE}:{port}/hooks/{ICE_BOSTON.code}"
    answer: dict[str, str] = {}

    def known() -> bool:
        nonlocal answer
        try:
            answer = call("POST", f"{url}/v1/subscriptions", key, {"channel": "webhook", "url": hook})
        except ApiError as error:
            if error.status not in (401, 503):
                raise
        return bool(answer)

    if not wait_until(known, seconds=_KNOWN_WITHIN_S, every_s=0.2):
        raise ClusterNotReady(f"the notifier does not know the agency within {_KNOWN_WITHIN_S:.0f} s")
    return answer


def _wait_known(url: str, key: str) -> None:
    """Return once ingest knows the key: it then finds fault with what is sent, not with who sends it."""

    def known() -> bool:
        try:
            call("POST", f"{url}/v1/events", key, {}, content_type="application/cloudevents+json")
        except ApiError as error:
            return error.status not in (0, 401, 503)
        return True

    if not wait_until(known, seconds=_KNOWN_WITHIN_S, every_s=0.2):
        raise ClusterNotReady(f"ingest does not know the jail within {_KNOWN_WITHIN_S:.0f} s")


def _arrived(file: Path, conflict_id: str, stage: Stage) -> Arrival | None:
    def found() -> Arrival | None:
        return next((a for a in read_arrivals(file) if a.verified and _is_of(a, conflict_id, stage)), None)

    wait_until(lambda: found() is not None, seconds=_TOLD_WITHIN_S, every_s=0.05)
    return found()


def _is_of(arrival: Arrival, conflict_id: str, stage: Stage) -> bool:
    data = json.loads(bytes(arrival.body)).get("data", {})
    return bool(data.get("conflict_id") == conflict_id and data.get("stage") == stage)


def _show(console: Console, told: Sequence[Webhook]) -> None:
    table = Table(title="The Hartford case, through the cluster", title_justify="left")
    for column in ("date", "what happened", "webhook to ICE/ERO Boston"):
        table.add_column(column)
    table.add_column("after", justify="right")
    for one in told:
        at = one.step.post.body.occurred_at
        came = "—" if one.step.stage is None else "[red]none came[/red]"
        if one.arrival is not None:
            came = f"{str(one.step.stage).replace('_', ' ')}, signature good"
        after = f"{one.after_ms:.0f} ms" if one.arrival is not None else ""
        table.add_row(f"{at.day} {at:%b %Y}", one.step.words, came, after)
    console.print(table)
    last = next((one.arrival for one in reversed(told) if one.arrival is not None), None)
    if last is not None:
        console.print(f"The last webhook, as {socket.gethostname()} received it (webhook-id {last.id}):")
        console.print_json(bytes(last.body).decode())
