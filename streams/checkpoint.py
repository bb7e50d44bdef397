"""Checkpoints on a compacted topic: state and the position it belongs to, whole or not at all.

A checkpoint is a manifest that names pieces of state, each with its checksum. Pieces are written first, the
manifest last, so what a crash leaves half written is never looked at. Only pieces that changed are written;
the manifest names the older ones again.

Keys carry the generation of the writer. Whoever takes a partition over begins a generation above all it finds,
under a name of its own, so a writer that was presumed dead can neither overwrite nor delete what others need.
Its manifests are refused besides (`Storage.seal`).
"""

import asyncio
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

import structlog

from detectors.state import STATE_VERSION, Change
from streams.errors import ServiceError

log = structlog.get_logger(__name__)

FORMAT_VERSION: Final = 1
"""Raised when a checkpoint is written in another way; a reader refuses versions it does not know."""

PART_BYTES: Final = 512 << 10
"""Pieces are cut so that each message stays well below the usual limit of 1 MB."""

_WRITE_BYTES: Final = 8 << 20
"""Encoded pieces that are held at a time."""

_MANIFEST: Final = "manifest"
_PIECE: Final = "piece"
_KEPT: Final = 2
"""Manifests of a writer that stay readable: the newest, and one in case that is damaged."""

_VERSION: Final = [FORMAT_VERSION, STATE_VERSION]

_ANEW: Final = "or begin anew without state (docs/runbooks/FlowhawkRestarting.md)"


class CheckpointError(ServiceError):
    """What is stored cannot be used, and starting without it would count things twice or lose them."""


class Storage(Protocol):
    """Values by key that outlive the process."""

    async def read(self) -> Mapping[str, bytes]:
        """Return the last value of every key, deleted ones left out."""

    async def write(self, values: Mapping[str, bytes | None]) -> None:
        """Write values, None deletes a key; return once all are durable."""

    async def seal(self, key: str, value: bytes) -> None:
        """Write one value behind all others, or fail when somebody else owns the storage now."""


class Written(NamedTuple):
    """What a checkpoint took."""

    pieces: int
    bytes: int


class Loaded(NamedTuple):
    """What was stored.

    Attributes
    ----------
    changes
        The state; nothing when no checkpoint was ever written.
    damages
        Why newer checkpoints were passed over.
    """

    changes: list[Change]
    damages: list[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one piece of state is stored."""

    key: str
    parts: int
    checksum: str

    @property
    def keys(self) -> list[str]:
        """Keys of its parts, in order."""
        return [f"{self.key}/{index}" for index in range(self.parts)]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One checkpoint.

    Attributes
    ----------
    generation, owner, number
        Who wrote it: higher generations win, then higher numbers.
    pieces
        The state, by name of the piece.
    """

    generation: int
    owner: str
    number: int
    pieces: Mapping[str, Piece] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Key of the manifest: the last `_KEPT` ones of a writer stay apart."""
        return f"{_MANIFEST}/{self.generation:012}/{self.owner}/{self.number % _KEPT}"

    @property
    def keys(self) -> set[str]:
        """Keys of all it needs, its own besides."""
        return {self.key, *(key for piece in self.pieces.values() for key in piece.keys)}

    def encode(self) -> bytes:
        """Write it with its version and a checksum over everything."""
        body = json.dumps(
            {
                "generation": self.generation,
                "owner": self.owner,
                "number": self.number,
                "pieces": {name: [piece.key, piece.parts, piece.checksum] for name, piece in self.pieces.items()},
            },
            sort_keys=True,
        )
        return json.dumps({"version": _VERSION, "checksum": _checksum([body.encode()]), "body": body}).encode()

    @classmethod
    def decode(cls, value: bytes, key: str) -> "Manifest":
        """Read it back.

        Raises
        ------
        CheckpointError
            When it was written in a version that is not known.
        ValueError, KeyError, TypeError
            When it is damaged.
        """
        outer = json.loads(value)
        if outer["version"] != _VERSION:
            raise CheckpointError(
                f"the checkpoint {key} has version {_written(outer['version'])}, and this Flowhawk knows "
                f"{_written(_VERSION)}; run the Flowhawk that wrote it, {_ANEW}"
            )
        if _checksum([outer["body"].encode()]) != outer["checksum"]:
            raise ValueError("the checksum of the manifest is wrong")
        body = json.loads(outer["body"])
        pieces = {name: Piece(*piece) for name, piece in body["pieces"].items()}
        return cls(body["generation"], body["owner"], body["number"], pieces)


class Checkpoints:
    """The checkpoints of one source, for whoever owns it now: load once, then save as often as you like.

    Parameters
    ----------
    storage
        Where they are kept.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._owner = uuid.uuid4().hex
        self._generation = 0
        self._number = 0
        self._kept: list[Manifest] = []
        self._foreign: frozenset[str] = frozenset()

    @property
    def generation(self) -> int:
        """Which owner of the source this is, counted from 1 on; 0 before anything was loaded."""
        return self._generation

    async def load(self) -> Loaded:
        """Read the last good checkpoint and begin a generation above all there are.

        Raises
        ------
        CheckpointError
            When there are checkpoints, but none can be used.
        """
        stored = await self._storage.read()
        self._foreign = frozenset(stored)
        self._generation = max((_generation(key) for key in stored), default=0) + 1
        damages: list[str] = []
        for manifest in _manifests(stored, damages):
            try:
                state = [_assemble(name, piece, stored) for name, piece in manifest.pieces.items()]
            except ValueError as error:
                damages.append(f"{manifest.key}: {error}")
            else:
                return Loaded(state, damages)
        if damages:
            raise CheckpointError(
                f"no checkpoint can be used ({'; '.join(damages)}); restore the state topic from a copy, {_ANEW}"
            )
        return Loaded([], [])

    async def save(self, changes: Sequence[Change]) -> Written:
        """Write a checkpoint: what changed since the last one of this owner, all of it the first time.

        Raises
        ------
        CheckpointError, streams.output.OutputError
            When it cannot be made durable. Save nothing more then.
        """
        self._number += 1
        pieces = dict(self._kept[-1].pieces) if self._kept else {}
        count = size = pending = 0
        values: dict[str, bytes | None] = {}
        for change in changes:
            payload = await asyncio.to_thread(change.encoded)
            if payload is None:
                pieces.pop(change.name, None)
                continue
            parts = [payload[begin : begin + PART_BYTES] for begin in range(0, len(payload), PART_BYTES)] or [b""]
            key = f"{_PIECE}/{self._generation:012}/{self._owner}/{self._number}/{change.name}"
            piece = pieces[change.name] = Piece(key, len(parts), _checksum(parts))
            values |= zip(piece.keys, parts, strict=True)
            count, size, pending = count + 1, size + len(payload), pending + len(payload)
            if pending >= _WRITE_BYTES:
                await self._storage.write(values)
                values, pending = {}, 0
        await self._storage.write(values)
        manifest = Manifest(self._generation, self._owner, self._number, pieces)
        await self._storage.seal(manifest.key, manifest.encode())
        await self._forget(manifest)
        return Written(count, size)

    async def _forget(self, manifest: Manifest) -> None:
        """Delete what no kept manifest needs, and once a manifest of one's own is safe, what was there before."""
        before = {key for kept in self._kept for key in kept.keys}
        self._kept = [*self._kept, manifest][-_KEPT:]
        needed = {key for kept in self._kept for key in kept.keys}
        obsolete = (before | self._foreign) - needed
        self._foreign = frozenset()
        if obsolete:
            await self._storage.write(dict.fromkeys(sorted(obsolete)))


def _generation(key: str) -> int:
    kind, _, rest = key.partition("/")
    number = rest.partition("/")[0]
    if kind not in {_MANIFEST, _PIECE} or not number.isdecimal():
        raise CheckpointError(
            f"the state topic holds {key!r}, which this Flowhawk does not know; run the Flowhawk that wrote it, {_ANEW}"
        )
    return int(number)


def _manifests(stored: Mapping[str, bytes], damages: list[str]) -> Iterator[Manifest]:
    """Yield the manifests, the one to use first; the damaged ones are noted."""
    found: list[Manifest] = []
    for key, value in stored.items():
        if key.startswith(f"{_MANIFEST}/"):
            try:
                found.append(Manifest.decode(value, key))
            except (ValueError, KeyError, TypeError) as error:
                damages.append(f"{key}: {error}")
    yield from sorted(found, key=lambda each: (each.generation, each.number), reverse=True)


def _assemble(name: str, piece: Piece, stored: Mapping[str, bytes]) -> Change:
    missing = [key for key in piece.keys if key not in stored]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    parts = [stored[key] for key in piece.keys]
    if _checksum(parts) != piece.checksum:
        raise ValueError(f"the checksum of {piece.key} is wrong")
    return Change(name, b"".join(parts))


def _checksum(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _written(version: Any) -> str:
    return ".".join(map(str, version)) if isinstance(version, list) else str(version)
