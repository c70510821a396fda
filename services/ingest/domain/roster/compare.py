"""Compare a snapshot with what the last one said: pure, `now` and the state come in, events and a new state go out.

Absence from a roster is not a release (rule 10), only the inference of one:

- Where a row of this snapshot cannot be read, it may stand for anyone who seems to be missing. So a snapshot that has
  an unreadable row, which the last one did not have too, infers no release: whoever is missing is withheld, and is
  released when he is missing from the next snapshot that has other content as well.
- An unreadable row whose booking columns name somebody of the last snapshot keeps him present.
- Somebody who shows up again was never gone: the inferred release is taken back by its id (Voided), rather than
  followed by a return, so that the truth is restored and every notice of it is retracted (rules 8 and 9).
"""

from __future__ import annotations

from base64 import b32encode
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from contracts.types.custody import Booked, CustodyEvent, Released, Updated, Voided
from services.ingest.domain.refusal import Refused
from services.ingest.domain.roster.rows import Row, Snapshot

__all__ = ["Counts", "Delta", "Head", "Known", "Post", "compare"]

_MAX_ODD_KNOWN: Final = 2000


class Head(Struct, frozen=True, omit_defaults=True):
    """The last snapshot of a facility. revision: counts snapshots of one and the same time. rows: bookings in it.

    odd: digests of its unreadable rows.
    """

    snapshot_at: datetime
    digest: str
    rows: int
    revision: int = 0
    odd: list[str] = []


class Known(Struct, frozen=True, omit_defaults=True, gc=False):
    """What was said last of one booking, and by which event.

    said: booked, updated, released (inferred) or voided. at: of the snapshot that said it.
    missing_since: missing from that snapshot, and the release withheld.
    """

    booking: str
    digest: str
    said: str
    at: datetime
    event_id: str
    source: str
    missing_since: datetime | None = None


class Post(Struct, frozen=True):
    """A snapshot as it was sent.

    source: id of the source. min_rows_ratio: see RosterMapping. force: an operator has looked: take it although it is
    small, and withhold nothing. remember: how long somebody who left is known.
    """

    facility: str
    source: str
    snapshot_at: datetime
    min_rows_ratio: float
    remember: timedelta
    force: bool = False


class Counts(Struct):
    """What a snapshot led to.

    rows: data rows of the file. unchanged: bookings that are as they were. rejected: rows, or values of rows, kept in
    rejects.v1. withheld: missing, but not released yet. repeated: this very snapshot was taken before. stale: the same
    content as the last one, at a later time.
    """

    rows: int = 0
    booked: int = 0
    updated: int = 0
    inferred_released: int = 0
    voided: int = 0
    unchanged: int = 0
    rejected: int = 0
    withheld: int = 0
    repeated: bool = False
    stale: bool = False


class Delta(Struct):
    """What is to be written, all or nothing. known: booking -> what is known now, None: forget it. head None: nothing
    is to be written at all."""

    counts: Counts
    snapshot_at: datetime
    head: Head | None = None
    events: list[tuple[str, CustodyEvent]] = []
    known: dict[str, Known | None] = {}
    rejects: list[tuple[bytes, Refused]] = []


def compare(snapshot: Snapshot, post: Post, head: Head | None, known: dict[str, Known]) -> Delta:
    """What `snapshot` tells that the last one (`head`, `known`) did not.

    Raises:
        Refused: snapshot_out_of_order (older than the last), snapshot_too_small (half-sent, as it seems).
    """
    counts = Counts(rows=snapshot.lines)
    if head is not None:
        if post.snapshot_at < head.snapshot_at:
            raise Refused("snapshot_out_of_order", "there is a later snapshot of this facility", "snapshot_at")
        if snapshot.digest == head.digest:
            counts.unchanged = head.rows
            counts.repeated = post.snapshot_at == head.snapshot_at
            counts.stale = not counts.repeated
            # Nothing is new, so nothing is inferred either; only the time up to which we know moves on.
            later = Head(post.snapshot_at, head.digest, head.rows, 0, head.odd) if counts.stale else None
            return Delta(counts, post.snapshot_at, later)
        if len(snapshot.rows) < post.min_rows_ratio * head.rows and not post.force:
            raise Refused(
                "snapshot_too_small",
                f"{len(snapshot.rows)} bookings, where the last snapshot had {head.rows}: half-sent, or an operator "
                "has to look and send it with force=true",
            )
    revision = head.revision + 1 if head is not None and head.snapshot_at == post.snapshot_at else 0
    odd = sorted({row.digest for row in snapshot.odd if row.whole})[:_MAX_ODD_KNOWN]
    work = _Work(post, revision, known, counts)
    for booking, rows in snapshot.rows.items():
        work.present(booking, rows)
    here = {booking for booking, was in known.items() if was.said != "released"}
    kept = {row.booking for row in snapshot.odd if row.whole} & here
    seen_before = set(head.odd) if head is not None else set()
    hidden = any(row.whole and row.booking not in kept and row.digest not in seen_before for row in snapshot.odd)
    for booking, was in known.items():
        if booking in snapshot.rows:
            continue
        if was.said == "released":
            if was.at < post.snapshot_at - post.remember:
                work.delta.known[booking] = None
        elif booking in kept:
            work.unchanged(was)
        elif hidden and was.missing_since is None and not post.force:
            work.withheld(was)
        else:
            work.gone(was)
    work.delta.rejects += [(row.raw, row.refused) for row in snapshot.odd]
    work.delta.head = Head(post.snapshot_at, snapshot.digest, len(snapshot.rows), revision, odd)
    counts.rejected = len(work.delta.rejects)
    return work.delta


class _Work:
    """Collects what one comparison leads to."""

    def __init__(self, post: Post, revision: int, known: dict[str, Known], counts: Counts) -> None:
        self._post = post
        self._revision = revision
        self._known = known
        self._counts = counts
        self.delta = Delta(counts, post.snapshot_at)

    def present(self, booking: str, rows: list[Row]) -> None:
        was = self._known.get(booking)
        row = self._chosen(rows, was)
        if was is None:
            self._counts.booked += 1
            event = Booked(
                facility=self._post.facility,
                booking_number=booking,
                occurred_at=row.booked_at or self._post.snapshot_at,
                sequence=self._revision,
                person=row.person,
                charges=row.charges,
            )
            self._say(booking, "booked", event, row.digest)
            return
        if was.said == "released":
            self._counts.voided += 1
            void = Voided(
                facility=self._post.facility,
                booking_number=booking,
                occurred_at=self._post.snapshot_at,
                sequence=self._revision,
                voids_event=was.event_id,
                voids_source=was.source,
                note="on the roster again",
            )
            self._say(booking, "voided", void, was.digest)
        if row.digest == was.digest:
            if was.said != "released":
                self.unchanged(was)
            return
        self._counts.updated += 1
        update = Updated(
            facility=self._post.facility,
            booking_number=booking,
            occurred_at=self._post.snapshot_at,
            sequence=self._revision,
            person=row.person,
            charges=row.charges,
        )
        self._say(booking, "updated", update, row.digest)

    def unchanged(self, was: Known) -> None:
        self._counts.unchanged += 1
        if was.missing_since is not None:
            self.delta.known[was.booking] = Known(was.booking, was.digest, was.said, was.at, was.event_id, was.source)

    def withheld(self, was: Known) -> None:
        self._counts.withheld += 1
        self.delta.known[was.booking] = Known(
            was.booking, was.digest, was.said, was.at, was.event_id, was.source, self._post.snapshot_at
        )

    def gone(self, was: Known) -> None:
        self._counts.inferred_released += 1
        release = Released(
            facility=self._post.facility,
            booking_number=was.booking,
            occurred_at=was.missing_since or self._post.snapshot_at,
            sequence=self._revision,
            inferred=True,
        )
        self._say(was.booking, "released", release, was.digest)

    def _say(self, booking: str, said: str, event: CustodyEvent, digest: str) -> None:
        post = self._post
        event_id = _event_id(post.facility, booking, said, post.snapshot_at, self._revision)
        self.delta.events.append((event_id, event))
        self.delta.known[booking] = Known(booking, digest, said, post.snapshot_at, event_id, post.source)

    def _chosen(self, rows: list[Row], was: Known | None) -> Row:
        """One of several rows that differ: the one that says what was said before, else that of the least digest,
        so that the order of the rows in the file does not matter. The others are kept as rejects."""
        if len(rows) == 1:
            return rows[0]
        chosen = min(rows, key=lambda row: (was is None or row.digest != was.digest, row.digest))
        for row in rows:
            if row is not chosen:
                said = "there is another row of this booking, which differs; that one is taken"
                self.delta.rejects.append((row.raw, Refused("duplicate_booking", said)))
        return chosen


def _event_id(facility: str, booking: str, said: str, snapshot_at: datetime, revision: int) -> str:
    """The same snapshot leads to the same events, whenever and however often it is compared."""
    parts = (facility, said, snapshot_at.isoformat(), str(revision), booking)
    digest = blake2b("\x1f".join(parts).encode(), digest_size=15, person=b"sallyport-ros").digest()
    return f"ros_{b32encode(digest).decode().lower()}"
