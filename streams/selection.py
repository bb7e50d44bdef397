"""What is published at all: records are dropped by rules, and conversations sampled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.records import RecordSettings
from streams.records.aws_text import header_format
from streams.records.contract import SAMPLING_HEADER
from streams.selection_settings import DropRule, SelectionSettings
from streams.sources.contract import Block
from streams.sources.times import text_fields

Mask = npt.NDArray[np.bool_]

_SPREAD: Final = np.uint64(2_654_435_761)
_RANGE: Final = 1 << 32
_CONVERSATION: Final = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol")


@dataclass
class Left:
    """What was not published.

    Attributes
    ----------
    dropped
        Records that a rule named.
    sampled_out
        Records of conversations that were not drawn.
    unselected
        Records that went out as they were, although there were rules, since they are no lines of text.
    """

    dropped: int = 0
    sampled_out: int = 0
    unselected: int = 0


class Selection:
    """Chooses the records of blocks.

    Parameters
    ----------
    settings
        What to leave out.
    records
        How lines are written.
    """

    def __init__(self, settings: SelectionSettings, records: RecordSettings) -> None:
        self._settings = settings
        self._records = records
        self.left = Left()

    @property
    def rate(self) -> float:
        """Records that may be published a second; infinite where there is no limit."""
        return self._settings.records_per_second or math.inf

    def apply(self, block: Block) -> Block | None:
        r"""Return what of a block is to be published; None for nothing.

        Examples
        --------
        >>> rule = DropRule(ports=(53,))
        >>> selection = Selection(SelectionSettings(drop=(rule,)), RecordSettings(format="dstaddr dstport"))
        >>> selection.apply(Block(b"10.0.0.5 53\n10.0.0.5 22", {}, 2, "a.log", 24)).value, selection.left.dropped
        (b'10.0.0.5 22', 1)
        """
        if not self._settings.drop and self._settings.sample_one_in == 1:
            return block
        names = text_fields(block, self._records)
        if names is None:
            self.left.unselected += block.lines
            return block
        lines = block.value.decode("latin-1").split("\n")
        fields, whole = _fields(lines, names)
        dropped = whole & self._dropped(fields, len(lines))
        drawn, headers = self._drawn(fields), block.headers
        if drawn is not None:
            weight = int(block.headers.get(SAMPLING_HEADER, b"1")) * self._settings.sample_one_in
            headers = {**block.headers, SAMPLING_HEADER: b"%d" % weight}
        out = np.zeros(len(lines), np.bool_) if drawn is None else whole & ~drawn & ~dropped
        self.left.dropped += int(dropped.sum())
        self.left.sampled_out += int(out.sum())
        keep = np.flatnonzero(~(dropped | out))
        # A header line alone says nothing.
        if not keep.size or (keep.size == 1 and header_format(lines[keep[0]].encode("latin-1")) is not None):
            return None
        kept = [lines[index] for index in keep] if keep.size < len(lines) else lines
        return replace(block, value="\n".join(kept).encode("latin-1"), lines=len(kept), headers=headers)

    def _dropped(self, fields: pl.DataFrame, rows: int) -> Mask:
        dropped = np.zeros(rows, np.bool_)
        for rule in self._settings.drop:
            dropped |= _matches(fields, rule, rows)
        return dropped

    def _drawn(self, fields: pl.DataFrame) -> Mask | None:
        """Say which rows are of conversations that are drawn; None where there is no sampling."""
        if self._settings.sample_one_in == 1 or not set(_CONVERSATION) <= set(fields.columns):
            return None
        ends = [pl.concat_str(f"{end}addr", pl.lit(" "), f"{end}port") for end in ("src", "dst")]
        keys = fields.select(
            pl.concat_str(
                pl.min_horizontal(*ends), pl.lit(" "), pl.max_horizontal(*ends), pl.lit(" "), "protocol"
            ).fill_null("-")
        ).to_series()
        sums = np.fromiter(map(crc32, map(str.encode, keys.to_list())), np.uint64, len(keys))
        drawn: Mask = (sums * _SPREAD) % np.uint64(_RANGE) < np.uint64(_RANGE // self._settings.sample_one_in)
        # Rows that tell of missing flows are of no conversation.
        of_none: Mask = (fields["srcaddr"] == "-").fill_null(value=True).to_numpy()
        return drawn | of_none


def _fields(lines: Sequence[str], names: Sequence[str]) -> tuple[pl.DataFrame, Mask]:
    """Split lines into fields, and say which lines have as many as there are names and are no header."""
    split = pl.Series("line", lines).str.split(" ")
    whole: Mask = (split.list.len() == len(names)).to_numpy()
    if header_format(lines[0].encode("latin-1")) is not None:
        whole = whole & (np.arange(len(lines)) > 0)
    columns = {name.replace("-", "_"): split.list.get(index, null_on_oob=True) for index, name in enumerate(names)}
    return pl.DataFrame(columns), whole


def _matches(fields: pl.DataFrame, rule: DropRule, rows: int) -> Mask:
    conditions: list[Mask] = []
    for name, wanted in (("action", rule.action), ("log_status", rule.log_status)):
        if wanted is not None:
            conditions.append(_either(fields, (name,), [wanted], rows))
    if rule.ports:
        conditions.append(_either(fields, ("srcport", "dstport"), [str(port) for port in rule.ports], rows))
    if rule.cidr is not None:
        ends = ("srcaddr", "dstaddr")
        seen = {text for end in ends if end in fields.columns for text in fields[end].unique().to_list() if text}
        conditions.append(_either(fields, ends, [text for text in seen if _inside(text, rule.cidr)], rows))
    matches: Mask = np.logical_and.reduce(conditions)
    return matches


def _either(fields: pl.DataFrame, names: Sequence[str], wanted: Sequence[str], rows: int) -> Mask:
    """Say in which rows one of the fields has one of the texts; a field that the format lacks has none."""
    matches = np.zeros(rows, np.bool_)
    for name in names:
        if name in fields.columns:
            matches |= fields[name].is_in(pl.Series(wanted, dtype=pl.String)).fill_null(value=False).to_numpy()
    return matches


@lru_cache(maxsize=65_536)
def _inside(text: str, cidr: str) -> bool:
    try:
        return ip_address(text) in ip_network(cidr)
    except ValueError:
        return False
