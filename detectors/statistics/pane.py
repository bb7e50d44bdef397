"""The statistics of one pane, worked out once from what was counted in it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.route import Part
from detectors.statistics import tables
from detectors.statistics.contacts import PANE_SECONDS, contact_keys
from detectors.statistics.conversations import answers
from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined, rows_of
from detectors.statistics.volumes import RECEIVER, SENDER, UNKNOWN

BoolArray = npt.NDArray[np.bool_]


class Egress(NamedTuple):
    """What own hosts exchanged with outside peers, by their own reports; each array has shape (pairs,)."""

    pairs: UInt64Array
    """Hash of own host and peer, ascending, each once."""
    hosts: UInt64Array
    peers: UInt64Array
    outbound_bytes: Int64Array
    inbound_bytes: Int64Array

    def of(self, part: Part) -> "Egress":
        """Return that of the hosts of one part."""
        own = part.holds(self.hosts)
        keys = self.pairs[own], self.hosts[own], self.peers[own]
        return Egress(*keys, self.outbound_bytes[own], self.inbound_bytes[own])


class Counted(NamedTuple):
    """What was counted in a pane, each row once and in ascending order of its hash."""

    contacts: pl.DataFrame
    """Columns of `detectors.statistics.contacts.CONTACTS`."""
    volumes: pl.DataFrame
    """Columns of `detectors.statistics.volumes.VOLUMES`."""
    conversations: pl.DataFrame
    """Columns of `detectors.statistics.conversations.CONVERSATIONS`."""
    remembered: pl.DataFrame
    """The same of this pane and of those before it that are remembered, in any order."""


class Pane:
    """What was counted in one pane, and what follows from it. Nothing of it changes.

    Parameters
    ----------
    begin
        Begin of the pane, epoch seconds.
    counted
        What was counted in it.
    seconds
        How long it is; blocks of panes are longer.
    """

    def __init__(self, begin: int, counted: Counted, seconds: int = PANE_SECONDS) -> None:
        self.begin = begin
        self.seconds = seconds
        self.volumes = counted.volumes
        self.contacts = _returned(_answered(counted.contacts), *answers(counted.conversations, counted.remembered))
        """The contacts; what came back is counted among the answers also where ports do not tell of it."""

    @cached_property
    def failed(self) -> Int64Array:
        """Rows of the contacts that were tried in vain, as far as this pane knows.

        A contact that failed in a window failed in one of its panes at least, and succeeded in none.
        """
        requests, rejected, answers = (self.contacts[name].to_numpy() for name in ("requests", "rejected", "answers"))
        lasting = self.contacts["lasting"].to_numpy()
        return np.flatnonzero((answers == 0) & (requests > 0) & ((rejected > 0) | ~lasting))

    @cached_property
    def missed(self) -> Int64Array:
        """Those of them whose source is an own host."""
        missed: Int64Array = self.failed[self.contacts["source_internal"].to_numpy()[self.failed]]
        return missed

    @cached_property
    def contact(self) -> UInt64Array:
        """Hash of each contact, ascending, shape (contacts,)."""
        return self.contacts["contact"].to_numpy()

    @cached_property
    def pair(self) -> UInt64Array:
        """Hash of each contact's source and target, shape (contacts,)."""
        return combined(self.contacts["source_key"].to_numpy(), self.contacts["target_key"].to_numpy())

    @cached_property
    def service(self) -> UInt64Array:
        """Hash of each contact's source and port, shape (contacts,)."""
        return combined(self.contacts["source_key"].to_numpy(), self.contacts["port"].to_numpy())

    @cached_property
    def source(self) -> UInt64Array:
        """Key of each contact's source, shape (contacts,)."""
        return self.contacts["source_key"].to_numpy()

    @cached_property
    def target(self) -> UInt64Array:
        """Key of each contact's target, shape (contacts,)."""
        return self.contacts["target_key"].to_numpy()

    @cached_property
    def rejected(self) -> Int64Array:
        """Refused requests of each contact, shape (contacts,)."""
        return self.contacts["rejected"].to_numpy()

    @cached_property
    def refused(self) -> Int64Array:
        """Rows of the contacts with refused requests."""
        return np.flatnonzero(self.rejected)

    @cached_property
    def egress(self) -> Egress:
        """What own hosts exchanged with outside peers."""
        sender, receiver, reporter, sent = (
            self.volumes[name].to_numpy() for name in ("sender_key", "receiver_key", "reporter", "bytes")
        )
        inside = self.volumes["sender_internal"].to_numpy(), self.volumes["receiver_internal"].to_numpy()
        out = np.flatnonzero(inside[0] & ~inside[1] & (reporter == SENDER))
        back = np.flatnonzero(inside[1] & ~inside[0] & (reporter == RECEIVER))
        hosts = np.concatenate([sender[out], receiver[back]])
        peers = np.concatenate([receiver[out], sender[back]])
        zeros_out, zeros_back = np.zeros(len(out), np.int64), np.zeros(len(back), np.int64)
        groups = Groups(combined(hosts, peers))
        return Egress(
            groups.keys,
            hosts[groups.some],
            peers[groups.some],
            groups.sum(np.concatenate([sent[out], zeros_back])),
            groups.sum(np.concatenate([zeros_out, sent[back]])),
        )

    def traffic(self, interfaces: UInt64Array, owners: UInt64Array) -> pl.DataFrame:
        """Sum up what hosts did, columns of `detectors.statistics.tables.TRAFFIC`: volumes by their own reports.

        Parameters
        ----------
        interfaces, owners
            Whose interfaces are whose, see `detectors.statistics.volumes.owners`.
        """
        return tables.traffic([self._sent(interfaces, owners), self._asked()])

    def _sent(self, interfaces: UInt64Array, owners: UInt64Array) -> pl.DataFrame:
        """Sum what hosts sent and received, inside and out; own hosts tell it of outside addresses."""
        sender, receiver, sent = (self.volumes[name].to_numpy() for name in ("sender_key", "receiver_key", "bytes"))
        inside = self.volumes["sender_internal"].to_numpy(), self.volumes["receiver_internal"].to_numpy()
        resolved = self._resolved(interfaces, owners)
        keys, internal, columns = [], [], []
        for key, own, other, end, way in (
            (sender, inside[0], inside[1], SENDER, "sent"),
            (receiver, inside[1], inside[0], RECEIVER, "received"),
        ):
            told = np.where(own, resolved == end, other & (resolved == SENDER + RECEIVER - end))
            for rows, where in (
                (np.flatnonzero(told & other), "internal"),
                (np.flatnonzero(told & ~other), "external"),
            ):
                keys.append(key[rows])
                internal.append(own[rows])
                columns.append((f"{where}_bytes_{way}", sent[rows]))
        return _stacked(np.concatenate(keys), np.concatenate(internal), columns)

    def _asked(self) -> pl.DataFrame:
        """Count the requests that hosts made and got, by what became of them."""
        passed = self.contacts["requests"].to_numpy() - self.rejected
        columns = [
            ("requests_made", passed),
            ("refusals_met", self.rejected),
            ("requests_got", passed),
            ("rejected", self.rejected),
        ]
        ends = ("source", "source", "target", "target")
        keys = [self.contacts[f"{end}_key"].to_numpy() for end in ends]
        internal = [self.contacts[f"{end}_internal"].to_numpy() for end in ends]
        return _stacked(np.concatenate(keys), np.concatenate(internal), columns)

    def _resolved(self, interfaces: UInt64Array, owners: UInt64Array) -> Int64Array:
        """Say which end reported, also where only the interface's own address tells."""
        resolved = self.volumes["reporter"].to_numpy().astype(np.int64)
        unknown = np.flatnonzero(resolved == UNKNOWN)
        if len(interfaces):
            sender, receiver = self.volumes["sender_key"].to_numpy(), self.volumes["receiver_key"].to_numpy()
            rows, found = rows_of(interfaces, self.volumes["interface"].to_numpy()[unknown])
            owner = np.where(found, owners[rows], np.uint64(0))
            resolved[unknown[owner == sender[unknown]]] = SENDER
            resolved[unknown[owner == receiver[unknown]]] = RECEIVER
        return resolved

    @cached_property
    def hosts(self) -> pl.DataFrame:
        """One row per host: `outbound_bytes` to the outside, and `rejected` records as a target; for baselines."""
        sent = Groups(self.egress.hosts)
        refused = Groups(self.target[self.refused])
        keys = np.concatenate([sent.keys, refused.keys])
        groups = Groups(keys)
        internal = np.concatenate(
            [
                np.ones(len(sent), np.bool_),
                self.contacts["target_internal"].to_numpy()[self.refused][refused.some],
            ]
        )
        outbound, rejected = sent.sum(self.egress.outbound_bytes), refused.sum(self.rejected[self.refused])
        return frame(
            {
                "key": groups.keys,
                "internal": groups.max(internal),
                "outbound_bytes": groups.sum(np.concatenate([outbound, np.zeros(len(refused), np.int64)])),
                "rejected": groups.sum(np.concatenate([np.zeros(len(sent), np.int64), rejected])),
            }
        )


def _stacked(keys: UInt64Array, internal: BoolArray, columns: Sequence[tuple[str, Int64Array]]) -> pl.DataFrame:
    """Put columns of hosts below each other, each beside zeros; columns of the same name come together."""
    frame: dict[str, npt.NDArray[Any]] = {"key": keys, "internal": internal}
    begin = 0
    for name, values in columns:
        column = frame.setdefault(name, np.zeros(len(keys), np.int64))
        column[begin : begin + len(values)] = values
        begin += len(values)
    return pl.DataFrame(frame)


def _returned(contacts: pl.DataFrame, returned: UInt64Array, counts: Int64Array) -> pl.DataFrame:
    """Count as answers what came back in conversations of which ports do not tell who opened them."""
    rows, found = rows_of(contacts["contact"].to_numpy(), returned)
    if not found.any():
        return contacts
    total = contacts["answers"].to_numpy().copy()
    total[rows[found]] += counts[found]
    return contacts.with_columns(pl.Series("answers", total))


def _answered(contacts: pl.DataFrame) -> pl.DataFrame:
    """Count what came back as answers where records do not tell them from requests, for want of ports."""
    protocol = contacts["protocol"].to_numpy()
    portless = np.flatnonzero((protocol == tables.PORTLESS[0]) | (protocol == tables.PORTLESS[1]))
    if not len(portless):
        return contacts
    source, target, port = (contacts[name].to_numpy()[portless] for name in ("source_key", "target_key", "port"))
    back, found = rows_of(contacts["contact"].to_numpy(), contact_keys(target, source, port, protocol[portless]))
    returned = (contacts["requests"] - contacts["rejected"]).to_numpy()[back]
    total = contacts["answers"].to_numpy().copy()
    total[portless] += np.where(found, returned, 0)
    return contacts.with_columns(pl.Series("answers", total))
