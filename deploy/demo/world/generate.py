"""A whole world from a seed: detained people, strangers, the stream of what is sent, and the truth.

The same arguments give the same world, but for API keys (places.credentials), which are fresh every time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.types.detainer import Lodge
from deploy.demo.world.life import Life
from deploy.demo.world.people import Population
from deploy.demo.world.places import AGENCIES, PLACES
from deploy.demo.world.plots import PLOTS, Plot, stranger
from deploy.demo.world.script import Expected, Post

__all__ = ["World", "generate"]

_SPAN = timedelta(days=90)
"""Within so much time the stories begin."""
_LONGEST = timedelta(days=90)
"""No story goes on for longer; so that none reaches into the future, which ingest would refuse."""


@dataclass(frozen=True, slots=True)
class World:
    """lodged: detainers that stand before the stream begins. stream: what is then sent, in this order.

    expected: every pair of a detainer and a booking of the detainer's person; anything else is extra.
    repeated: how many posts of the stream are there twice.
    """

    seed: int
    lodged: list[Post]
    stream: list[Post]
    expected: list[Expected]
    population: Population
    people: int
    detained: int
    repeated: int

    @property
    def secrets(self) -> set[str]:
        """Every name, birth date and number in it (G8)."""
        return {secret for human in self.population.everyone for secret in human.secrets() if secret}

    @property
    def events(self) -> int:
        """Custody events in the stream, repeats included."""
        return sum(1 for post in self.stream if post.event_id is not None)


def generate(
    seed: int,
    events: int,
    *,
    now: datetime | None = None,
    detained_share: float = 0.3,
    disorder: float = 0.1,
    repeats: float = 0.02,
    run: int = 0,
) -> World:
    """A world of about `events` custody events.

    now: end of the story's calendar. detained_share: share of events that are of people with a detainer.
    disorder: share of custody events that come late, by up to a tenth of the stream; a release may then come before
    its booking (rule 7). repeats: share that comes twice. run: see Population.
    """
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    population = Population(rng, run)
    prefix = f"{run}-" if run else ""
    begin = now - _SPAN - _LONGEST
    lives: list[Life] = []
    sent = 0

    def live(plot: Plot | None) -> int:
        life = Life(
            len(lives), prefix, rng, population, population.draw(), rng.choice(PLACES), begin + _SPAN * rng.random()
        )
        life.plot = plot.__name__ if plot is not None else "stranger"
        if plot is not None:
            plot(life, rng.sample(AGENCIES, 2))
        else:
            stranger(life)
        lives.append(life)
        return sum(1 for post in life.posts if post.event_id is not None)

    while sent < events * detained_share / (1 + repeats):
        sent += live(PLOTS[len(lives) % len(PLOTS)])
    detained = len(lives)
    while sent < events / (1 + repeats):
        sent += live(None)

    lodged: list[Post] = []
    stream: list[Post] = []
    for life in lives:
        for position, post in enumerate(life.posts):
            told_before = all(isinstance(p.body, Lodge) for p in life.posts[: position + 1])
            (lodged if told_before else stream).append(post)
    stream.sort(key=lambda post: post.at)
    stream, repeated = _shuffled(stream, rng, disorder, repeats)
    lodged.sort(key=lambda post: post.at)
    return World(
        seed=seed,
        lodged=lodged,
        stream=stream,
        expected=[expected for life in lives for expected in life.expected],
        population=population,
        people=len(lives),
        detained=detained,
        repeated=repeated,
    )


def _shuffled(stream: list[Post], rng: random.Random, disorder: float, repeats: float) -> tuple[list[Post], int]:
    """Custody events late and repeated. The commands of agencies keep their order: each builds on the one before."""
    reach = max(10.0, len(stream) / 10)
    placed: list[tuple[float, int, Post]] = []
    repeated = 0
    for index, post in enumerate(stream):
        late = 0.0
        if post.event_id is not None:
            late = rng.random() * reach if rng.random() < disorder else 0.0
            if rng.random() < repeats:
                repeated += 1
                placed.append((index + rng.random() * reach, len(stream) + index, post))
        placed.append((index + late, index, post))
    placed.sort(key=lambda entry: entry[:2])
    return [post for _, _, post in placed], repeated
