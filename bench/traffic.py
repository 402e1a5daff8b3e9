"""The times of visits: real users, and the bots of a flood.

The stream of visits is in the order of time, and the same for every policy. Real users have numbers
from 0 up, bots from -1 down. Nine times in ten, a user requests again after a short gap (lognormal,
median 15 s, sigma 1.2, at most 10 minutes). Otherwise it is a break (lognormal, median 15 minutes,
sigma 0.8, at most 55 minutes). After a break, one in ten does not return, and a new user comes
instead.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple, TypeAlias

HOUR: Final = 3600.0
CHUNK: Final = 10.0  # seconds of visits that are sorted at a time

FIRST: Final = 0  # a first visit, without a cookie
BACK: Final = 1  # with the cookie of the last visit
LAST: Final = 2  # the same, as the last visit


class Visit(NamedTuple):
    time: float
    visitor: int
    kind: int


class Kind(enum.Enum):
    """The behaviour of a real user of model B."""

    LOGS_IN = "logs in with the second request"
    RETURNS = "comes back, without a login"
    LOOKS = "looks once"


@dataclass(frozen=True)
class Flood:
    """A scenario. Rates and numbers are for 10,000 sessions, and scale with them."""

    name: str
    rate: float = 0.0
    """New bots a second."""
    backs: int = 0
    """The number of returns of each bot."""
    wait: tuple[float, float] = (0.0, 0.0)
    """The seconds until a return: the minimum, and the mean of the rest (exponential)."""
    patient: int = 0
    """The number of bots that all keep coming, every two minutes."""
    replay: bool = False
    """Whether each new bot sends the same old cookie."""
    users: int = 5000
    cold: bool = False
    """Whether the flood begins with the first user."""


ONCE: Final = (0.0, 2.0)
THRICE: Final = (6.0, 4.0)

FLOODS: Final = (
    Flood("100/s", 100),
    Flood("back once", 100, 1, ONCE),
    Flood("back 3x", 100, 3, THRICE),
    Flood("1,000/s", 1000),
    Flood("back once", 1000, 1, ONCE),
    Flood("back 3x", 1000, 3, THRICE),
)
REPLAY: Final = Flood("replay", 1000, replay=True)
COLD: Final = Flood("cold", 1000, 3, THRICE, cold=True)
NONE: Final = (Flood("none, 20k", users=20_000), Flood("none, 12k", users=12_000))
PATIENT: Final = Flood("patient", patient=100_000)


@dataclass(frozen=True)
class Model:
    """The scale and the duration."""

    capacity: int = 10_000  # sessions
    warm_up: float = HOUR
    length: float = HOUR
    seed: int = 20261124

    @property
    def scale(self) -> float:
        return self.capacity / 10_000


class Users:
    """The visits of real users, and their ``births`` and ``kinds`` by number."""

    def __init__(self, model: Model, count: int, *, logins: bool, end: float) -> None:
        self._random = Random(model.seed)
        self._logins = logins
        self.births: list[float] = []
        self.kinds: list[Kind] = []
        self.visits: list[Visit] = []
        for _ in range(round(count * model.scale)):
            self._fill_place(self._random.uniform(0, 600), end)
        self.visits.sort()

    def _fill_place(self, time: float, end: float) -> None:
        """Yield the visits of one user after the other."""
        while time < end:
            number = len(self.births)
            kind = self._kind()
            self.births.append(time)
            self.kinds.append(kind)
            self.visits.append(Visit(time, number, FIRST))
            if kind is Kind.LOOKS:
                time += self._gap()[0]
                continue
            if kind is Kind.LOGS_IN:
                time += self._random.uniform(3, 20)
                self.visits.append(Visit(time, number, BACK))
            while time < end:
                gap, was_break = self._gap()
                time += gap
                if was_break and self._random.random() < 0.1:
                    break
                self.visits.append(Visit(time, number, BACK))

    def _kind(self) -> Kind:
        if not self._logins:
            return Kind.RETURNS
        return self._random.choices(list(Kind), (60, 30, 10))[0]

    def _gap(self) -> tuple[float, bool]:
        random = self._random
        if random.random() < 0.9:
            return min(random.lognormvariate(math.log(15), 1.2), 600.0), False
        return min(random.lognormvariate(math.log(900), 0.8), 3300.0), True


def bots(flood: Flood, model: Model, start: float, end: float) -> Iterator[list[Visit]]:
    """Yield the visits of bots, by chunks of time from 0 on; unsorted within a chunk."""
    random = Random(model.seed + 1)
    rate = flood.rate * model.scale
    patient = round(flood.patient * model.scale)
    pending: dict[int, list[Visit]] = {}
    number = 0
    for chunk in range(math.ceil(end / CHUNK)):
        visits = pending.pop(chunk, [])
        while rate and (time := start + number / rate) < min(end, (chunk + 1) * CHUNK):
            number += 1
            visits.append(Visit(time, -number, FIRST if flood.backs else LAST))
            for back in range(1, flood.backs + 1):
                time += flood.wait[0] + random.expovariate(1 / flood.wait[1])
                visit = Visit(time, -number, LAST if back == flood.backs else BACK)
                at = int(time / CHUNK)
                (visits if at == chunk else pending.setdefault(at, [])).append(visit)
        if patient and chunk * CHUNK >= start:
            visits += _patient(patient, chunk * CHUNK - start, start)
        yield visits


def _patient(count: int, since: float, start: float) -> list[Visit]:
    """Yield each of ``count`` bots once in 120 s, evenly."""
    turn, at = divmod(since, 120.0)
    bots_of_chunk = range(math.ceil(count * at / 120), math.ceil(count * (at + CHUNK) / 120))
    kind = FIRST if turn == 0 else BACK
    return [
        Visit(start + 120 * (turn + bot / count), -1 - bot, kind)
        for bot in bots_of_chunk
        if bot < count
    ]


Say: TypeAlias = Callable[[float], None]
"""Is told which share of the visits has been yielded."""


def ignore(share: float) -> None:
    """Show no progress."""


def stream(
    users: Users, flood: Flood, model: Model, start: float, end: float, say: Say = ignore
) -> Iterator[Visit]:
    """Yield all visits up to ``end``, in the order of time. ``say`` estimates the progress."""
    at = 0
    begin = start if flood.rate or flood.patient else 0.0  # few visits precede the bots
    for chunk, visits in enumerate(bots(flood, model, start, end)):
        first = at
        until = min(end, (chunk + 1) * CHUNK)
        while at < len(users.visits) and users.visits[at].time < until:
            at += 1
        yield from sorted(visits + users.visits[first:at])
        say(max(0.0, until - begin) / (end - begin))
