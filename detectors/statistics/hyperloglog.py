"""HyperLogLog over many rows at once: one row of registers for each set that is counted.

The registers are those of Flajolet, Fusy, Gandouet and Meunier (AofA 2007); what they say is worked out with the
improved estimator of Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284,
algorithm 6), whose bias is below one percent anywhere between nothing and 2**64, and which needs no tables of
corrections. The standard error is 1.04 / sqrt(registers) for 64 or more: 6.5 % for 256, 3.25 % for 1,024.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.addresses import Int64Array, UInt64Array

UInt8Array = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]

_CHUNK: Final = 4096
"""Rows estimated at a time, so that what is needed in between stays small."""

_ALPHA: Final = 1 / (2 * np.log(2))
"""Makes the harmonic mean of infinitely many registers a count."""


def observe(registers: UInt8Array, rows: Int64Array, hashes: UInt64Array) -> None:
    """Add values to sets, in place; neither order nor repeats matter.

    The register comes from the lowest bits of a hash and its value from those above: the highest byte of a host's key
    is its shard, and within a shard always the same.

    Parameters
    ----------
    registers
        UInt8, shape (sets, a power of two).
    rows
        Which set each value belongs to, Int64, shape (n,).
    hashes
        Values, scattered over 64 bits, UInt64, shape (n,).
    """
    size = registers.shape[1]
    precision = np.uint64(size.bit_length() - 1)
    rest = (hashes >> precision) | (np.uint64(1) << (np.uint64(64) - precision))
    zeros = np.bitwise_count(~rest & (rest - np.uint64(1)))
    places = rows * size + (hashes & np.uint64(size - 1)).astype(np.int64)
    np.maximum.at(registers.reshape(-1), places, zeros + np.uint8(1))


def estimates(registers: UInt8Array) -> Float64Array:
    """Estimate how many distinct values each set has.

    Only whole numbers, halves, products and square roots are computed, so every machine gives the same.

    Parameters
    ----------
    registers
        UInt8, shape (n, a power of two).

    Returns
    -------
    Float64Array
        Counts, shape (n,).

    Examples
    --------
    >>> registers = np.zeros((2, 256), np.uint8)
    >>> observe(registers, np.zeros(40_000, np.int64), np.random.default_rng(1).integers(0, 2**64, 40_000, np.uint64))
    >>> estimates(registers).round().tolist()
    [38761.0, 0.0]
    """
    size = registers.shape[1]
    highest = 65 - (size.bit_length() - 1)
    weights = np.zeros(highest + 1, np.uint64)
    weights[1:highest] = np.uint64(1) << np.arange(highest - 2, -1, -1, dtype=np.uint64)
    sigma, tau = _empty(size), _full(size)
    found = np.empty(len(registers))
    for begin in range(0, len(registers), _CHUNK):
        part = registers[begin : begin + _CHUNK]
        # The sum of 2 ** -register, times 2 ** (highest - 1): exact in 64 bits.
        total = weights[part].sum(axis=1).astype(np.float64)
        scale = 2.0 ** (highest - 1)
        mean = (total + tau[(part == highest).sum(axis=1)]) / scale + sigma[(part == 0).sum(axis=1)]
        found[begin : begin + _CHUNK] = _ALPHA * size * size / mean
    return found


def _empty(size: int) -> Float64Array:
    """Say what 0, 1, ... `size` empty registers add to the sum (sigma in Ertl's algorithm 5)."""
    share = np.arange(size + 1) / size
    total, weight, before = share.copy(), 1.0, np.full(size + 1, np.nan)
    total[-1] = np.inf
    while (total != before).any():
        share = share * share
        before = total
        total = total + share * weight
        weight *= 2
    return size * total


def _full(size: int) -> Float64Array:
    """Say what 0, 1, ... `size` registers at their limit add to the sum (tau in Ertl's algorithm 6)."""
    share = 1 - np.arange(size + 1) / size
    total, weight, before = 1 - share, 1.0, np.full(size + 1, np.nan)
    while (total != before).any():
        share = np.sqrt(share)
        before = total
        weight /= 2
        total = total - (1 - share) ** 2 * weight
    return size * total / 3
