"""`sallyport breaker list|release|discard`: feeds that were stopped, and what an operator says of each (rule 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from aiokafka.errors import KafkaError, ProducerFenced
from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from contracts.cloudevents import Attributes, encode_headers
from contracts.types.feed import Breaker, BreakerState
from services.platform.errors import ContractViolation, Fenced, SallyportError
from services.platform.kafka.clients import make_producer
from services.platform.kafka.doors import explained
from services.platform.operator.reading import at, known, make_console, read_to_end, span
from services.platform.settings import PlatformSettings

__all__ = ["BREAKERS_TOPIC", "BreakerDecided", "BreakerUnknown", "app", "choose", "decide", "newest"]

BREAKERS_TOPIC = "breakers.v1"
TRANSACTIONAL_ID: Final = "sallyport-operator-breaker"
"""Of two operators who decide at the same time, the later one fences the earlier: nobody overwrites unseen."""

app = App(name="breaker", help="Feeds that released too many at once, and wait for an operator.")
By = Annotated[str, Parameter(help="Who decides; it is on record.")]
Reason = Annotated[str, Parameter(help="Why; it is on record. No names of people in custody.")]


class BreakerUnknown(SallyportError):
    """No breaker ever stopped the feed of that facility."""

    code = "breaker_unknown"
    alert = False


class BreakerDecided(SallyportError):
    """No breaker of that facility waits for an operator any more."""

    code = "breaker_decided"
    alert = False


class ClockBehind(SallyportError):
    """Here it is earlier than the trip; a decision would miss releases that were accepted before it was taken."""

    code = "clock_behind"


def newest(records: Iterable[tuple[bytes, Breaker | None]]) -> list[Breaker]:
    """Each breaker as it stands, oldest first. A trip that was written again does not undo a decision."""
    found: dict[bytes, Breaker] = {}
    for key, breaker in records:
        before = found.get(key)
        if breaker is None:
            found.pop(key, None)
        elif before is None or before.state is BreakerState.TRIPPED or breaker.state is not BreakerState.TRIPPED:
            found[key] = breaker
    return sorted(found.values(), key=lambda breaker: (breaker.tripped_at, breaker.breaker_id))


def choose(breakers: Iterable[Breaker], facility: str) -> Breaker:
    """The newest breaker of the facility that waits for an operator. `breakers`: oldest first.

    Raises:
        BreakerUnknown, BreakerDecided: there is none.
    """
    of_it = [breaker for breaker in breakers if breaker.facility == facility]
    waiting = [breaker for breaker in of_it if breaker.state is BreakerState.TRIPPED]
    if waiting:
        return waiting[-1]
    if not of_it:
        raise BreakerUnknown(f"no breaker has stopped the feed of {facility}")
    last = of_it[-1]
    when = f" at {at(last.decided_at)}" if last.decided_at is not None else ""
    raise BreakerDecided(f"{facility}: {last.breaker_id} was {last.state} by {last.decided_by}{when}")


def decide(breaker: Breaker, state: BreakerState, by: str, reason: str, now: datetime) -> Breaker:
    """The breaker with the decision in it.

    Raises:
        ContractViolation: `by` or `reason` is blank, or longer than the contract lets it be.
        ClockBehind: it tripped later than `now`.
    """
    by, reason = by.strip(), reason.strip()
    for name, text in (("--by", by), ("--reason", reason)):
        if not text:
            raise ContractViolation("missing_field", f"{name} must not be blank", name)
    if now < breaker.tripped_at:
        raise ClockBehind(f"here it is {at(now)}, and it tripped at {at(breaker.tripped_at)}: set the clock")
    decided = msgspec.structs.replace(breaker, state=state, decided_at=now, decided_by=by, reason=reason)
    try:
        return msgspec.json.decode(msgspec.json.encode(decided), type=Breaker)
    except msgspec.ValidationError as error:
        raise ContractViolation("invalid_value", str(error)) from None


async def _decide(
    settings: PlatformSettings, facility: str, state: BreakerState, by: str, reason: str
) -> tuple[Breaker, int]:
    """Decide on the facility's breaker and write it; (the decision, how many more of the facility wait).

    Raises:
        Fenced: another operator decided meanwhile. BrokerUnavailable. And as `choose` and `decide`.
    """
    producer = make_producer(settings, transactional_id=TRANSACTIONAL_ID)
    try:
        # Before the topic is read: whoever starts after us sees what we wrote, or we are fenced and write nothing.
        await producer.start()
        breakers = newest(known(await read_to_end(settings, BREAKERS_TOPIC), Breaker, make_console(stderr=True)))
        decided = decide(choose(breakers, facility), state, by, reason, datetime.now(UTC))
        assert decided.decided_at is not None
        attributes = Attributes(
            f"{decided.breaker_id}.{decided.state}",
            "sallyport/operator",
            f"sallyport.breaker.{decided.state}.v1",
            decided.decided_at,
            decided.decided_at,
        )
        async with producer.transaction():
            await producer.send_and_wait(
                BREAKERS_TOPIC,
                key=decided.breaker_id.encode(),
                value=msgspec.json.encode(decided),
                headers=encode_headers(attributes),
            )
    except ProducerFenced:
        raise Fenced("another operator decided on a breaker just now: look again (sallyport breaker list)") from None
    except (KafkaError, OSError) as error:
        raise await explained(settings, error, f"{BREAKERS_TOPIC} could not be written") from error
    finally:
        await producer.stop()
    more = sum(b.facility == facility and b.state is BreakerState.TRIPPED for b in breakers) - 1
    return decided, more


@app.command(name="list")
def list_(*, all_: Annotated[bool, Parameter(name="--all", help="Those that were decided, too.")] = False) -> int:
    """The breakers that wait for an operator, oldest first. Exit status 0, whether there are any or not."""
    console = make_console()
    breakers = newest(known(asyncio.run(read_to_end(PlatformSettings(), BREAKERS_TOPIC)), Breaker, console))
    shown = [breaker for breaker in breakers if all_ or breaker.state is BreakerState.TRIPPED]
    if not shown:
        console.print("no breaker has tripped yet" if all_ else "no breaker waits for an operator")
        return 0
    table = Table("facility", "state", "tripped", "releases since", "releases", "of", "share", "window")
    if all_:
        for title in ("decided", "by", "reason"):
            table.add_column(title)
    for breaker in shown:
        state = f"[red]{breaker.state}[/red]" if breaker.state is BreakerState.TRIPPED else str(breaker.state)
        row = [
            breaker.facility,
            state,
            at(breaker.tripped_at),
            at(breaker.since),
            str(breaker.releases),
            str(breaker.population),
            f"{breaker.releases / breaker.population:.0%}" if breaker.population else "",
            span(breaker.window_s),
        ]
        if all_:
            decided = at(breaker.decided_at) if breaker.decided_at is not None else ""
            row += [decided, escape(breaker.decided_by or ""), escape(breaker.reason or "")]
        table.add_row(*row)
    console.print(table)
    return 0


@app.command
def release(facility: str, /, *, by: By, reason: Reason) -> int:
    """The releases of FACILITY are true: the notices that its newest breaker holds back leave."""
    return _put(facility, BreakerState.RELEASED, by, reason)


@app.command
def discard(facility: str, /, *, by: By, reason: Reason) -> int:
    """The releases of FACILITY never were: those that its newest breaker is about count as voided."""
    return _put(facility, BreakerState.DISCARDED, by, reason)


def _put(facility: str, state: BreakerState, by: str, reason: str) -> int:
    console = make_console()
    decided, more = asyncio.run(_decide(PlatformSettings(), facility, state, by, reason))
    console.print(f"{decided.facility}: {decided.breaker_id} {decided.state}", highlight=False)
    console.print(f"about releases that occurred since {at(decided.since)} and were accepted by now", highlight=False)
    if more:
        console.print(f"{more} more of this facility wait for an operator", highlight=False)
    return 0
