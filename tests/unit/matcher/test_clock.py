"""A clock that leaps is not believed; one that is set right step by step is."""

from __future__ import annotations

from datetime import timedelta

from services.matcher.adapters.clock import SystemClock
from tests.unit.matcher.people import START


class Machine:
    """A wall clock and a count of seconds, each set by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 0.0
        self.clock = SystemClock(60, wall=lambda: self.wall, steady=lambda: self.seconds)

    def run(self, seconds: float, wall: float | None = None) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds if wall is None else wall)


def test_an_even_clock_is_what_it_says() -> None:
    machine = Machine()
    machine.run(3600)
    assert machine.clock.now() == START + timedelta(hours=1)
    assert machine.clock.check() is None


def test_a_leap_is_not_believed_and_said() -> None:
    for leap in (86_400.0, -86_400.0):
        machine = Machine()
        machine.run(10, wall=10 + leap)
        assert machine.clock.now() == START + timedelta(seconds=10)
        assert machine.clock.check() == f"the clock of this machine leapt by {leap:.0f} s"
        machine.run(20)
        assert machine.clock.now() == START + timedelta(seconds=30)
        machine.run(5, wall=5 - leap)  # set right again
        assert machine.clock.check() is None
        assert machine.clock.now() == START + timedelta(seconds=35)


def test_small_steps_are_followed() -> None:
    machine = Machine()
    for _ in range(10):
        machine.run(1, wall=50)
        machine.clock.now()
    assert machine.clock.check() is None
    assert machine.clock.now() == START + timedelta(seconds=500)
