"""Files that grow, and new ones: `follow:///var/log/flows/*.log`."""

import glob
import stat
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import unquote

from pydantic import Field

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records import RecordSettings
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block, PlaceSettings, Position, Source
from streams.sources.growing import GrowingFile
from streams.sources.merge import Merge
from streams.sources.places import bare, parameters

SCHEME: Final = "follow://"

File = tuple[int, int]
"""A file whatever its name: its device and its number there."""


class FollowSettings(PlaceSettings):
    """Parameters of `follow://`."""

    start: Literal["beginning", "end"] = Field(
        default="beginning", alias="from", description="Where to begin in files that are there and were never read."
    )
    poll_ms: int = Field(default=200, ge=10, le=60_000, description="How often to look for what is new.")
    quiet_seconds: float = Field(
        default=10, ge=0, description="How long a file that was moved away may not have grown before it is done with."
    )
    remember_seconds: float = Field(
        default=172_800, ge=0, description="How long files that are gone are known, in case they come back compressed."
    )
    format: str | None = Field(default=None, description="Fields of lines without a header line, in order.")


class FollowedSource(Source):
    """Files of a path, pattern or folder, as they grow, are rotated and are made anew.

    Positions are offsets into the text of a file, which is told from others by its first record: renamed, copied or
    compressed it stays the same. A file that was cut short and begins with another record is another one.
    """

    name = "follow"
    written = "follow:///PATH"
    settings = FollowSettings

    def __init__(self, place: str, settings: FollowSettings) -> None:
        self._place = bare(place)
        self._pattern = unquote(self._place.removeprefix(SCHEME))
        if not self._pattern:
            raise InputError(f"{self._place}: names no file; write follow:///var/log/flows/*.log")
        self._settings = settings
        self._headers = {} if settings.format is None else {FORMAT_HEADER: settings.format.encode()}
        self._cut = BlockSettings()
        self._known: dict[str, int] = {}
        self._files: dict[File, GrowingFile] = {}
        self._gone: deque[tuple[float, str]] = deque()
        self._consumed = 0
        self._waits = False
        self._stopped = threading.Event()
        self._failing: set[str] = set()

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `follow://` and anything behind it."""
        return place.startswith(SCHEME)

    @classmethod
    def at(cls, place: str) -> Self:
        """Name files; whether there are any is seen when they are read."""
        return cls(place, parameters(place, FollowSettings))

    @property
    def size(self) -> int:
        """Nobody knows: 0."""
        return 0

    @property
    def consumed(self) -> int:
        """Stored bytes read so far."""
        return self._consumed + sum(file.consumed for file in list(self._files.values()))

    @property
    def waits(self) -> bool:
        """Whether all files were read as far as they go."""
        return self._waits

    def blocks(self) -> Iterator[Block]:
        """Read what is there in order of event time, then what comes, until stopped."""
        self._look(skip=self._settings.start == "end")
        while not self._stopped.is_set():
            count = 0
            for block in self._available():
                count += 1
                self._waits = False
                yield block
            yield from self._let_go()
            self._waits = count == 0
            if count == 0:
                self._stopped.wait(self._settings.poll_ms / 1000)
            self._look()
        for file in self._files.values():
            file.close()

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Go on in each file that is known, under whatever name it is now."""
        before = f"{self._place}#"
        self._known = {
            origin.removeprefix(before): each.offset
            for origin, each in positions.items()
            if origin.startswith(before) and not each.content
        }

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut the text so."""
        self._cut = settings

    def acknowledge(self, block: Block) -> None:
        """Nothing to do: files keep no position."""
        del block

    def forget(self) -> Iterable[str]:
        """Name files that have been gone for long."""
        oldest, forgotten = time.monotonic() - self._settings.remember_seconds, []
        while self._gone and self._gone[0][0] <= oldest:
            _, identity = self._gone.popleft()
            if identity not in {file.identity for file in list(self._files.values())}:
                forgotten.append(f"{self._place}#{identity}")
        return forgotten

    def stop(self) -> None:
        """Read no further."""
        self._stopped.set()

    def _available(self) -> Iterator[Block]:
        merge = Merge(RecordSettings())
        numbered = {number: self._files[key] for number, key in enumerate(self._files)}
        for number, file in numbered.items():
            self._read_on(merge, number, file)
        while merge:
            number, block = merge.take()
            if block is not None:
                yield block
            if number not in merge and not self._stopped.is_set():
                self._read_on(merge, number, numbered[number])

    def _read_on(self, merge: Merge, number: int, file: GrowingFile) -> None:
        try:
            block = file.next()
        except InputError as error:
            # It is told once, and read no further.
            if str(file.path) not in self._failing:
                self._failing.add(str(file.path))
                self.on_problem(error)
        else:
            if block is not None:
                merge.put(number, block)

    def _look(self, *, skip: bool = False) -> None:
        """Find files that are new, and note which have another name by now."""
        seen: set[File] = set()
        for path, only_known in self._paths():
            try:
                found = path.stat()
                key = (found.st_dev, found.st_ino)
                if not stat.S_ISREG(found.st_mode):
                    continue
                if key not in self._files:
                    self._files[key] = GrowingFile(
                        path, self._place, self._headers, self._cut, self._known, only_known=only_known
                    )
                    if skip and not only_known:
                        self._files[key].skip()
                self._files[key].path = path
                seen.add(key)
            except FileNotFoundError:
                # It was moved just now, and is found under its new name.
                continue
            except OSError as error:
                if str(path) not in self._failing:
                    self._failing.add(str(path))
                    self.on_problem(InputError(f"{path}: cannot be read: {error.strerror}"))
        for key, file in self._files.items():
            file.moved = key not in seen

    def _paths(self) -> Iterator[tuple[Path, bool]]:
        """Name the files of the pattern, and those that one of them may have become; the flag says which."""
        if Path(self._pattern).is_dir():
            yield from ((path, False) for path in sorted(Path(self._pattern).rglob("*")))
        elif glob.has_magic(self._pattern):
            yield from ((Path(path), False) for path in sorted(glob.glob(self._pattern, recursive=True)))  # noqa: PTH207 - a pattern may be absolute
        else:
            yield Path(self._pattern), False
            rotated = glob.glob(f"{glob.escape(self._pattern)}[.-]*")  # noqa: PTH207 - likewise
            yield from ((Path(path), True) for path in sorted(rotated))

    def _let_go(self) -> Iterator[Block]:
        """Finish files that were moved away and do not grow any more."""
        for key, file in list(self._files.items()):
            if not file.moved or file.quiet_seconds < self._settings.quiet_seconds:
                continue
            try:
                yield from file.finish()
            except InputError as error:
                self.on_problem(error)
            file.close()
            self._consumed += file.consumed
            del self._files[key]
            if file.identity is not None:
                self._gone.append((time.monotonic(), file.identity))
