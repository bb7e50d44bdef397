"""The topology by-host in one process: partitions, whoever judges and what lies between them, with all that goes wrong.

What is sent lies in lists in place of topics. Whoever dies goes on from what was stored, so that what it did since is
undone, and done again in another order.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Final

import polars as pl

from detectors.finding import Detection, Finding
from detectors.questions import Question
from detectors.route import Part
from detectors.state import Change, merged
from streams.by_host.blocks import decode
from streams.by_host.commands import Command, Pieces, Reached, apart, messages, rows, together
from streams.by_host.cuts import Outgoing
from streams.by_host.shard import Shard
from streams.by_host.verdict import Verdict
from streams.dead_letters import late_blocks
from streams.settings import Settings

_READ_AT_ONCE: Final = 6
"""Blocks that a partition reads at a time, at most."""


class _DiedError(Exception):
    """Whoever judges has died while it waited for answers."""


@dataclass(frozen=True, slots=True)
class Mischief:
    """How often something happens.

    Attributes
    ----------
    die, fall
        A worker, or whoever judges, begins again from what is durable.
    lose, repeat
        A worker misses what is said to all, or hears what was said before.
    look
        A worker says early what it sees.
    """

    die: float = 0.0
    fall: float = 0.0
    lose: float = 0.0
    repeat: float = 0.0
    look: float = 0.0


@dataclass(slots=True)
class Store:
    """What is durable, piece by piece; whoever goes on from it begins by storing all there is."""

    pieces: dict[str, Change] = field(default_factory=dict)
    fresh: bool = True

    def put(self, changes: Callable[..., Sequence[Change]], chance: random.Random) -> None:
        whole = self.fresh or chance.random() < 0.1
        encoded = [Change(each.name, each.encoded()) for each in changes(whole=whole)]
        self.pieces, self.fresh = merged({} if whole else self.pieces, encoded), False

    @property
    def state(self) -> list[Change]:
        return list(self.pieces.values())


class Worker:
    """A partition of hosts, and what is durable of it."""

    def __init__(self, settings: Settings, part: Part, sources: Sequence[str], topic: Sequence[Outgoing]) -> None:
        self._settings, self._part, self._sources, self._topic = settings, part, sources, topic
        self._store = Store()
        self._safe: int | None = None
        self._sessions = 0
        self._late: list[str] = []
        self.late: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Begin a session from what is durable."""
        self.shard = Shard(self._settings, self._part, self._sources)
        if self._store.pieces:
            self.shard.restore(self._store.state)
        self._safe = self.shard.watch.learned
        self._sessions += 1
        self._store.fresh = True
        self._late = []

    @property
    def left(self) -> int:
        """How many blocks there are still to read."""
        return len(self._topic) - (self.shard.expected("") or 0)

    def read(self, count: int) -> None:
        begin = self.shard.expected("") or 0
        some = self._topic[begin : begin + count]
        late = self.shard.apply([decode(each.value, each.headers) for each in some], begin + len(some))
        self._late += [line for value, _ in late_blocks(late) for line in value.decode().splitlines()]

    def keep(self, chance: random.Random) -> None:
        """Make durable what there is, and what was said since."""
        self._store.put(self.shard.changes, chance)
        self._safe = self.shard.watch.learned
        self.late += self._late
        self._late = []

    @property
    def reached(self) -> Reached:
        assert self._safe is not None
        said = replace(self.shard.reached, session=str(self._sessions), safe=self._safe)
        return Reached.read(said.body)


class Played:
    """All workers, and whoever judges; goes on step by step, until there is nothing left to do.

    Parameters
    ----------
    settings, sources, topics
        All settings, the names of the source partitions, and what each partition of hosts is sent.
    chance, mischief
        What happens when, and how often something goes wrong.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[str],
        topics: Sequence[Sequence[Outgoing]],
        chance: random.Random,
        mischief: Mischief,
    ) -> None:
        self._settings, self._chance, self._mischief = settings, chance, mischief
        self.workers = [
            Worker(settings, Part(number, len(topics)), sources, topic) for number, topic in enumerate(topics)
        ]
        self._store = Store()
        self._said: list[Finding] = []
        self.findings: list[Finding] = []
        self.suppressed: list[Finding] = []
        self.happened = Counter[str]()
        self._early: list[Detection] = []
        self._sent: list[Command] = []
        self._asked: Command | None = None
        self._answers: dict[str, dict[int, pl.DataFrame]] = {}
        self._reached: dict[int, Reached] = {}
        self.verdict = Verdict(settings, len(topics))

    def run(self) -> None:
        """Go on until everything is read and judged."""
        while not self._over():
            self._step()
            self._judge()

    def _over(self) -> bool:
        if any(worker.left for worker in self.workers):
            return False
        watermark = min(worker.shard.reached.watermark for worker in self.workers)
        learned = {worker.shard.watch.learned for worker in self.workers}
        return self.verdict.settled == watermark and learned == {self.verdict.last}

    def _step(self) -> None:
        """Let some worker go on."""
        number = self._chance.randrange(len(self.workers))
        worker = self.workers[number]
        worker.read(self._chance.randint(0, _READ_AT_ONCE))
        if self._happens("look"):
            self._early += [_read_again(each) for each in worker.shard.look()]
        if self._chance.random() < 0.2:
            worker.keep(self._chance)
        if self._happens("die"):
            worker.begin()
        if self._happens("repeat") and self._sent:
            begin = self._chance.randrange(len(self._sent))
            self._send(self._sent[begin : begin + 5], again=True)
        self._hear(number)

    def _hear(self, number: int) -> None:
        """Take note of how far a worker has come, and repeat what it has to know in a new session."""
        told = self.workers[number].reached
        known = self._reached.get(number)
        self._reached[number] = told
        if known is None or known.session != told.session:
            commands = self.verdict.commands(told.learned)
            self._send([*commands, self._asked] if self._asked is not None else commands)
        else:
            self._obey(number, [])

    def _send(self, commands: Sequence[Command], *, again: bool = False) -> None:
        if not again:
            self._sent += commands
        for number, worker in enumerate(self.workers):
            if not again and self._happens("lose"):
                # Whoever misses something is somebody else.
                worker.begin()
            else:
                self._obey(number, list(_over_the_wire(commands)))

    def _obey(self, number: int, commands: Sequence[Command]) -> None:
        answers = apart(together(self.workers[number].shard.obey(commands)))
        for name, answer in answers.items():
            self._answers.setdefault(name, {})[number] = rows(answer)

    def _judge(self) -> None:
        try:
            self._close_what_is_due()
        except _DiedError:
            self._begin()
        if self._happens("fall"):
            self._begin()

    def _begin(self) -> None:
        """Let somebody else judge, from what is durable."""
        self.verdict = Verdict(self._settings, len(self.workers))
        if self._store.pieces:
            self.verdict.restore(self._store.state)
        self._store.fresh = True
        self._asked, self._said, self._answers, self._reached = None, [], {}, {}

    def _close_what_is_due(self) -> None:
        if self._early and self._chance.random() < 0.7:
            self._say(self.verdict.early(self._early))
            self._early = []
        due = self.verdict.due(self._reached)
        if due is None:
            return
        watermark, panes = due
        for pane in panes:
            before = self.verdict.last
            detections = self.verdict.close(pane, partial(self._ask, pane))
            self._asked = None
            self._say(self.verdict.judged(pane, detections))
            self._keep()
            self._send(self.verdict.commands(before))
        self._say(self.verdict.settle(watermark))
        self._keep()
        self._send(self.verdict.commands(self.verdict.last))
        if self._chance.random() < 0.5:
            self.verdict.forget(self._reached)

    def _ask(self, pane: int, question: Question) -> list[pl.DataFrame]:
        self._asked = command = self.verdict.asking(pane, question)
        self._send([command])
        while len(self._answers.get(command.name, ())) < len(self.workers):
            if self._happens("fall"):
                raise _DiedError
            self._step()
        answers = self._answers[command.name]
        return [answers[number] for number in range(len(self.workers))]

    def _say(self, findings: Sequence[Finding]) -> None:
        self._said += findings

    def _keep(self) -> None:
        """Make durable what there is, and publish what was said since."""
        self._store.put(self.verdict.changes, self._chance)
        self.findings += self._said
        self.suppressed += self.verdict.incidents.kept_back()
        self._said = []

    def _happens(self, what: str) -> bool:
        happens = bool(self._chance.random() < asdict(self._mischief)[what])
        self.happened[what] += happens
        return happens


def _read_again(detection: Detection) -> Detection:
    return Detection.model_validate_json(detection.model_dump_json())


def _over_the_wire(commands: Sequence[Command]) -> Iterator[Command]:
    pieces = Pieces()
    for command in commands:
        for message in messages("commands", command.kind, command.name, command.body):
            assert message.value is not None
            whole = pieces.add(message.headers, message.value)
            if whole is not None:
                yield Command.read(whole[0], whole[2])
