"""Whom an entity has met before: peers, services, or whatever else is a number."""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.addresses import BoolArray, UInt64Array, mix
from detectors.route import SHARD_SHIFT
from detectors.statistics.key_index import DEFAULT_SALT
from detectors.statistics.keyed import KeyedTable
from detectors.statistics.pairs import runs

_SHARD: Final = np.uint64(0xFF << SHARD_SHIFT)


class Forgotten(NamedTuple):
    """How many contacts a closing pane made a set forget.

    Attributes
    ----------
    expired
        They had not been seen for long.
    evicted
        They were above the cap of their shard.
    """

    expired: int
    evicted: int


class FirstContacts:
    """Pairs of an entity and a value that were seen before, each with the pane it was last seen in.

    A pair is kept as a hash of 64 bits, of which the highest byte is the entity's shard and 56 tell the pairs of a
    shard apart: among a million pairs of its shard, a new one is taken for known with a probability of 1.4e-11. A pair
    takes 27 to 43 bytes; arrays double when they are full, so up to 62 are set aside.

    Learn only from closed panes, and from each once, with all its contacts: then what is known does not depend on the
    order of records. Of one entity at most `novel_per_pane` new values are learned in a pane, those with the smallest
    hashes, so that a scanner cannot push out what all others in its shard have learned.

    Parameters
    ----------
    cap
        Most pairs of a shard once a pane is closed, 1 or more.
    expiry_seconds
        How long a pair is remembered after it was last seen.
    novel_per_pane
        Most new values that are learned of an entity in a pane, 1 or more.
    salt
        See `KeyIndex`.

    Examples
    --------
    >>> contacts = FirstContacts(cap=1_000, expiry_seconds=86_400, novel_per_pane=64)
    >>> host = np.array([5, 5], np.uint64)
    >>> contacts.learn(host, np.array([22, 80], np.uint64), pane=60)
    >>> contacts.novel(host, np.array([22, 443], np.uint64)).tolist()
    [False, True]
    """

    def __init__(self, *, cap: int, expiry_seconds: int, novel_per_pane: int, salt: int = DEFAULT_SALT) -> None:
        if novel_per_pane < 1:
            raise ValueError(f"{novel_per_pane} new values in a pane are none: nothing would ever be learned")
        self._pairs = KeyedTable({}, inside_cap=cap, outside_cap=cap, salt=salt)
        self._expiry_seconds = expiry_seconds
        self._novel_per_pane = novel_per_pane

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self._pairs)

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        return self._pairs.nbytes

    def novel(self, entities: UInt64Array, values: UInt64Array) -> BoolArray:
        """Say which pairs are not known.

        Parameters
        ----------
        entities
            Keys, UInt64, shape (n,).
        values
            Keys of peers, ports, or other numbers, UInt64, shape (n,).
        """
        novel: BoolArray = self._pairs.find(_keys(entities, values)) < 0
        return novel

    def learn(self, entities: UInt64Array, values: UInt64Array, pane: int) -> None:
        """Remember all pairs of a closed pane, shape (n,); `pane` is its begin, epoch seconds."""
        keys, first = np.unique(_keys(entities, values), return_index=True)
        entities = entities[first]
        novel = np.flatnonzero(self._pairs.find(keys) < 0)
        # Keys are ascending, and a stable sort leaves those of an entity so.
        novel = novel[np.argsort(entities[novel], kind="stable")]
        surplus = novel[runs(entities[novel].view(np.int64)).ranks >= self._novel_per_pane]
        self._pairs.rows(np.delete(keys, surplus), inside=True, pane=pane)

    def close(self, pane: int) -> Forgotten:
        """Forget what was last seen more than the expiry before a pane, epoch seconds, and what is above the caps."""
        evicted = self._pairs.evict(pane - self._expiry_seconds)
        return Forgotten(evicted.expired, evicted.inside)

    def changes(self) -> tuple[UInt64Array, pl.DataFrame]:
        """Return what changed since the last call, as `restore` takes it: pairs removed, pairs learned or seen.

        Removed pairs are kept until then, so call it now and again also where nothing is stored.
        """
        removed, touched = self._pairs.changes()
        return removed, self._pairs.frame(touched)

    def whole(self) -> pl.DataFrame:
        """Return all pairs, as `restore` takes them."""
        return self._pairs.frame(self._pairs.live)

    def restore(self, removed: UInt64Array, frame: pl.DataFrame) -> None:
        """Take up changes, in the order in which they were made."""
        self._pairs.restore(removed, frame)


def _keys(entities: UInt64Array, values: UInt64Array) -> UInt64Array:
    """Hash pairs; the highest byte stays that of the entity."""
    keys: UInt64Array = (entities & _SHARD) | (mix(entities + mix(values)) & ~_SHARD)
    return keys
