"""What whoever judges panes and the partitions of hosts say to each other, as messages."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from itertools import accumulate
from typing import Final, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter

from detectors.questions import CALLS, NOBODY, Question
from detectors.route import Part
from detectors.watch import END_OF_TIME
from streams.errors import ServiceError, did_you_mean
from streams.output import ProducerRecord

ASK, CLOSE, SETTLE, WHO = "ask", "close", "settle", "who"
"""Kinds of commands: answer a question, learn from a pane, forget what is over, and say how far you have come."""

COMMANDS: Final = (ASK, CLOSE, SETTLE, WHO)

REACHED, ANSWER, EARLY = "reached", "answer", "early"
"""Kinds of what partitions say: how far they are, what they answer, and detections of open panes."""

KIND_HEADER: Final = "flowhawk-kind"
ABOUT_HEADER: Final = "flowhawk-about"
PIECE_HEADER: Final = "flowhawk-piece"

MOST_BYTES: Final = 900_000
"""Size of a message at most; what is larger comes in pieces."""


class _Asked(BaseModel):
    """A question as it is sent, but for the hosts that it is about."""

    model_config = ConfigDict(extra="forbid", strict=True)

    call: str
    name: str
    panes: int
    column: str | None
    least: float


class _Commanded(BaseModel):
    """A command as it is sent, but for its kind."""

    model_config = ConfigDict(extra="forbid", strict=True)

    previous: int
    pane: int
    watermark: int
    question: _Asked | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What all partitions of hosts are to do.

    Attributes
    ----------
    kind
        What to do.
    previous
        The pane that must have been closed last, epoch seconds.
    pane
        The pane it is about.
    watermark
        Where event time must have come to first, epoch seconds.
    question
        What to answer.
    """

    kind: str
    previous: int
    pane: int
    watermark: int
    question: Question | None = None

    @property
    def name(self) -> str:
        """Tells apart what is asked; the same question about the same pane has the same name, always."""
        return blake2b(self.body, digest_size=12).hexdigest()

    @property
    def body(self) -> bytes:
        """The command as it is sent: a line of JSON, and the hosts that it is about."""
        asked, hosts, question = None, b"", self.question
        if question is not None:
            asked = _Asked(**{name: getattr(question, name) for name in _Asked.model_fields})
            hosts = written(question.hosts) if len(question.hosts) else b""
        document = _Commanded(previous=self.previous, pane=self.pane, watermark=self.watermark, question=asked)
        return document.model_dump_json().encode() + b"\n" + hosts

    @classmethod
    def read(cls, kind: str, body: bytes) -> "Command":
        """Read what `body` returned.

        Raises
        ------
        streams.errors.ServiceError
            When it is damaged, or of a kind or a question that this version does not know.
        """
        with _reading(f"a command of kind {kind!r}"):
            line, _, hosts = body.partition(b"\n")
            document = _Commanded.model_validate_json(line)
            asked, question = document.question, None
            if asked is not None:
                question = Question(**asked.model_dump(), hosts=_frame(hosts) if hosts else NOBODY)
        _known("a command of kind", kind, COMMANDS)
        if question is not None:
            _known("a command that asks for", question.call, CALLS)
        elif kind == ASK:
            raise ServiceError("a command of kind 'ask' asks for nothing; see who else writes to the topic")
        return cls(kind, document.previous, document.pane, document.watermark, question)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a partition of hosts has come.

    Attributes
    ----------
    part
        The partition.
    watermark
        Where its event time is, epoch seconds, at the begin of a pane.
    learned
        The pane that was closed last.
    panes
        Begins of the panes that its event time allows to be closed, and that hold anything, ascending.
    session
        Changes whenever somebody else, or the same worker anew, has the partition.
    safe
        The pane that was closed last in what is durable: no session goes back behind it.
    generation
        Which owner of the partition says so: whoever has it after one that stored anything has a higher one.
    """

    part: Part
    watermark: int
    learned: int
    panes: Sequence[int]
    session: str = ""
    safe: int = -END_OF_TIME
    generation: int = 0

    @property
    def body(self) -> bytes:
        """It as it is sent."""
        return _REACHED.dump_json(self)

    @classmethod
    def read(cls, body: bytes) -> "Reached":
        """Read what `body` returned.

        Raises
        ------
        streams.errors.ServiceError
            When it is damaged.
        """
        with _reading("the word of how far a partition of hosts has come"):
            return _REACHED.validate_json(body)


_REACHED: Final = TypeAdapter(Reached)


class Answer(NamedTuple):
    """What a partition of hosts says to a question, by the question's name."""

    name: str
    rows: pl.DataFrame


def messages(topic: str, kind: str, about: str, body: bytes) -> list[ProducerRecord]:
    """Make the messages of one thing that is said, in pieces where it is large.

    Parameters
    ----------
    topic
        Where to.
    kind
        What is said.
    about
        Tells apart what comes in pieces, and says who answers what.
    body
        What is said.
    """
    pieces = [body[begin : begin + MOST_BYTES] for begin in range(0, len(body), MOST_BYTES)] or [b""]
    return [
        ProducerRecord(
            topic,
            piece,
            headers={
                KIND_HEADER: kind.encode(),
                ABOUT_HEADER: about.encode(),
                PIECE_HEADER: b"%d/%d" % (number, len(pieces)),
            },
        )
        for number, piece in enumerate(pieces)
    ]


@dataclass(slots=True)
class Pieces:
    """Puts together what comes in pieces: those of one thing follow on each other, of several in between."""

    _begun: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def add(self, headers: Mapping[str, bytes], value: bytes) -> tuple[str, str, bytes] | None:
        """Take a message, and return the kind, what it is about and the body where it was the last one of them.

        Raises
        ------
        streams.errors.ServiceError
            When the headers make no sense.
        """
        with _reading(f"a message with the headers {dict(headers)!r}"):
            kind, about = (headers[name].decode() for name in (KIND_HEADER, ABOUT_HEADER))
            number, count = map(int, headers[PIECE_HEADER].split(b"/"))
            if not 0 <= number < count:
                raise ValueError(f"there is no piece {number} of {count}")
        pieces = self._begun.pop((kind, about), [])
        # Whoever begins again, after a crash, begins with the first.
        del pieces[number:]
        if len(pieces) < number:
            # What came before was not heard, and is said again as a whole where anybody needs it.
            return None
        pieces.append(value)
        if len(pieces) == count:
            return kind, about, b"".join(pieces)
        self._begun[kind, about] = pieces
        return None


def written(frame: pl.DataFrame) -> bytes:
    """Write rows; the same rows are the same bytes."""
    buffer = BytesIO()
    # Rows that lie in several pieces would be written so.
    frame.rechunk().write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def rows(body: bytes) -> pl.DataFrame:
    """Read what `written` wrote.

    Raises
    ------
    streams.errors.ServiceError
        When it is damaged.
    """
    with _reading("an answer of a partition of hosts"):
        return _frame(body)


def together(answers: Sequence[Answer]) -> bytes:
    """Write answers as one thing to say: a message costs more than most of them."""
    bodies = [written(each.rows) for each in answers]
    sizes = [(each.name, len(body)) for each, body in zip(answers, bodies, strict=True)]
    return json.dumps(sizes).encode() + b"\n" + b"".join(bodies)


def apart(body: bytes) -> dict[str, bytes]:
    """Read what `together` wrote: the body of each answer, for `rows`, by its question's name.

    Raises
    ------
    streams.errors.ServiceError
        When it is damaged.
    """
    line, _, bodies = body.partition(b"\n")
    with _reading("what a partition of hosts answers"):
        sizes = _SIZES.validate_json(line)
        ends = [*accumulate(size for _, size in sizes)]
        if sum(size for _, size in sizes) != len(bodies):
            raise ValueError(f"{len(bodies)} bytes are none of the {len(sizes)} answers that it says")
    return {name: bodies[end - size : end] for (name, size), end in zip(sizes, ends, strict=True)}


_SIZES: Final = TypeAdapter(list[tuple[str, NonNegativeInt]])


def _frame(body: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(body)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Say of what cannot be read what it was, and what to do."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:_MOST_REASON]
        raise ServiceError(
            f"{what} is damaged: {type(error).__name__}: {reason}; see who else writes to the topic, and let all "
            "processes run the same version of Flowhawk"
        ) from error


_MOST_REASON: Final = 300
"""Characters of what is wrong that are told: some errors quote everything."""


def _known(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise ServiceError(
            f"{what} {name!r} came, which this version of Flowhawk does not know{did_you_mean(name, names)}; let all "
            "processes run the same version"
        )
