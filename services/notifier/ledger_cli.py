"""`sallyport ledger rewind`: let the notifier read conflicts and reviews again, after its database was restored.

A dump is older than what the notifier has read since: its offsets are in Kafka, and go on from where the lost database
was. What lies between would be told to nobody. Reading more than that is no harm: what the ledger has stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, UnknownMemberIdError
from cyclopts import App, Parameter
from rich.table import Table

from services.notifier.settings import NotifierSettings
from services.platform.errors import ContractViolation, GroupInUse
from services.platform.kafka.clients import client_options
from services.platform.kafka.doors import explained
from services.platform.kafka.partitions import assign_all
from services.platform.operator.reading import at, make_console

__all__ = ["Moved", "app", "move_back"]

app = App(name="ledger", help="The notifier's ledger: read Kafka again after a restore.")
TOPICS: Final = (("conflicts.v1", ""), ("reviews.v1", "-reviews"))
"""What the notifier reads into its database, and by what its group's name ends."""
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Moved:
    """One partition's offset, as it was (None: the group has none) and as it is to be; end: of the partition."""

    topic: str
    partition: int
    before: int | None
    after: int
    end: int

    @property
    def again(self) -> int:
        """Offsets that are read again: records, and a marker for each transaction."""
        return max(0, (self.end if self.before is None else self.before) - self.after)


async def move_back(
    settings: NotifierSettings, topic: str, group_id: str, since: datetime, *, dry_run: bool = False
) -> list[Moved]:
    """Let `group_id` go on from the first record of `topic` that was written at `since` or later.

    A partition whose group is further back already stays where it is: nothing is ever passed over. Returns each
    partition that has records, moved or not.

    Raises:
        GroupInUse: the group has members; nothing was moved.
        ConfigurationError: there is no such topic.
        BrokerUnavailable: no answer, or not within a minute, or Kafka is shut (`doors`).
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=group_id, enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await consumer.start()
            moved = await _plan(consumer, topic, since)
            back = {TopicPartition(m.topic, m.partition): m.after for m in moved if m.before != m.after}
            if back and not dry_run:
                # Outside of the group's generations: the coordinator refuses it while the group has members.
                await consumer.commit(back)
    except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError):
        raise GroupInUse(f"{group_id} has members: stop every notifier first; nothing was moved") from None
    except (KafkaError, OSError, TimeoutError) as error:
        raise await explained(settings, error, f"offsets of {group_id} could not be moved") from error
    finally:
        await consumer.stop()
    return moved


async def _plan(consumer: AIOKafkaConsumer, topic: str, since: datetime) -> list[Moved]:
    partitions = await assign_all(consumer, topic)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    moved: list[Moved] = []
    for partition in partitions:
        before: int | None = await consumer.committed(partition)
        first = found[partition]
        # No record since then: all of the partition is older, and the end is where to go on, if nobody was before.
        after = first.offset if first is not None else ends[partition]
        if before is not None:
            after = min(after, before)
        if ends[partition]:
            moved.append(Moved(partition.topic, partition.partition, before, after, ends[partition]))
    return moved


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min  # refused below, as one without an offset is  # noqa: DTZ901
    if instant.tzinfo is None:
        raise ContractViolation("invalid_value", "--since: ISO 8601 with an offset, 2026-11-24T20:00:00Z", "--since")
    if instant > datetime.now(UTC):
        raise ContractViolation("invalid_value", "--since lies ahead of this machine's clock", "--since")
    return instant


@app.command
def rewind(
    *,
    since: Annotated[str, Parameter(help="ISO 8601 with an offset: before the restored dump was begun.")],
    dry_run: Annotated[bool, Parameter(help="Say what would be read again, and move nothing.")] = False,
) -> int:
    """Have the notifier read again all that was written at SINCE or later. Every notifier must be stopped.

    Repeats change nothing in the ledger, so rather an hour too much than a minute too little.
    """
    settings, console = NotifierSettings(), make_console()
    instant = _instant(since)
    moved: list[Moved] = []
    for topic, ending in TOPICS:
        moved += asyncio.run(move_back(settings, topic, settings.group_id + ending, instant, dry_run=dry_run))
    console.print(_table(moved))
    verb = "would be" if dry_run else "are"
    console.print(f"{sum(m.again for m in moved)} offsets since {at(instant)} {verb} read again", highlight=False)
    return 0


def _table(moved: Sequence[Moved]) -> Table:
    table = Table("topic", "partition", "goes on at", "instead of", "end")
    for m in moved:
        table.add_row(m.topic, str(m.partition), str(m.after), "-" if m.before is None else str(m.before), str(m.end))
    return table
