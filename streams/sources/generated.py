"""Generated traffic as a source: `generate://?seed=1&minutes=60`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, urlsplit
from zlib import crc32

from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block, Position, Source
from streams.sources.resumed import behind

if TYPE_CHECKING:
    from streams.generate import Traffic

_SCHEME: Final = "generate"
_NUMBERS: Final = ("seed", "start", "minutes", "hosts", "records_per_minute", "version", "attacks", "aggregation")


class GeneratedSource(Source):
    """Traffic that is invented while it is read.

    Positions are offsets into its text.
    """

    name = "generated"
    written = "generate://"

    def __init__(self, traffic: "Traffic") -> None:
        self.traffic = traffic
        self.acknowledged = 0
        self._consumed = 0
        self._latest = traffic.start
        self._positions: Mapping[str, Position] = {}
        self._content = f"{crc32(repr(traffic).encode()):08x}"

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `generate://` and anything behind it."""
        return place.startswith(f"{_SCHEME}://")

    @classmethod
    def at(cls, place: str) -> Self:
        """Take the parameters of `Traffic` from the place: whole numbers, `attacks` is 0 or 1, `ipv6` a part.

        `attack` and `lookalike` choose episodes, each as often as needed, as `flowhawk generate` does.

        Raises
        ------
        InputError
            When a parameter is unknown or no whole number.
        streams.errors.SettingsError
            When a parameter is out of its range.

        Examples
        --------
        >>> GeneratedSource.at("generate://?seed=7&minutes=5").traffic.minutes
        5
        """
        # Every command looks through the sources, and few want generated traffic.
        from streams.generate import Traffic  # noqa: PLC0415 - slow to import, and seldom needed
        from streams.generate.chosen import chosen  # noqa: PLC0415 - likewise

        given: dict[str, float] = {}
        asked: dict[str, list[str]] = {"attack": [], "lookalike": []}
        for name, value in parse_qsl(urlsplit(place).query, keep_blank_values=True):
            if name in asked:
                asked[name].append(value)
            elif name in {*_NUMBERS, "ipv6"}:
                given[name] = _number(place, name, value)
            else:
                known = ", ".join((*_NUMBERS, "ipv6", *asked))
                raise InputError(f"{place}: generated traffic has no parameter {name!r}; known: {known}")
        episodes = chosen(asked["attack"], asked["lookalike"])
        return cls(Traffic(**given, episodes=episodes))  # type: ignore[arg-type]  # Traffic refuses what it cannot write

    @property
    def size(self) -> int:
        """Bytes of text in all, estimated from the part of the time that has passed; 0 at first."""
        passed = self._latest - self.traffic.start
        return self._consumed * (self.traffic.end - self.traffic.start) // passed if passed > 0 else 0

    @property
    def consumed(self) -> int:
        """Bytes of text so far."""
        return self._consumed

    def blocks(self) -> Iterator[Block]:
        """Yield the text, with its format as a header of every block."""
        return behind(self._blocks(), self._positions)

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Leave out what Kafka has of the very same traffic."""
        self._positions = positions

    def acknowledge(self, block: Block) -> None:
        """Remember how much of it has been published."""
        self.acknowledged = block.position

    def _blocks(self) -> Iterator[Block]:
        headers = {FORMAT_HEADER: self.traffic.format.encode()}
        position, line = 0, 1
        for text in self.traffic.blocks():
            start, position = position, position + len(text)
            lines = text.count(b"\n")
            self._consumed, self._latest = position, self._time_of(text)
            value = text.removesuffix(b"\n")
            yield Block(value, headers, lines, f"{_SCHEME}://", position, line, self._content, start)
            line += lines
        self._latest = self.traffic.end

    def _time_of(self, text: bytes) -> int:
        """Read the end of the last record; a header line has none."""
        end = text[text.rfind(b"\n", 0, -1) + 1 :].split(b" ")[11]
        return int(end) if end.isdigit() else self.traffic.start


def _number(place: str, name: str, value: str) -> float:
    if name == "ipv6":
        with suppress(ValueError):
            return float(value)
        raise InputError(f"{place}: {name} is {value!r}, write a number from 0 to 1")
    if not value.isdecimal():
        raise InputError(f"{place}: {name} is {value!r}, write a whole number")
    return int(value)
