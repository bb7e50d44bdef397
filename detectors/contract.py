"""The contract of a detector: a card that says what it is, and two verbs that say what it saw."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol

import polars as pl

from detectors.finding import Severity

SCORES: Final = pl.Schema(
    {
        "source_key": pl.UInt64(),
        "target_key": pl.UInt64(),
        "value": pl.Float64(),
        "threshold": pl.Float64(),
        "baseline": pl.Float64(),
        "source_internal": pl.Boolean(),
        "target_internal": pl.Boolean(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""What every detector says of each entity it looked at; columns of its own may follow.

`source_key` acts and `target_key` is acted on; null where there are many or none. The entity is the end that
the card names, or the other one where that is null.

Columns may follow that all detectors mean the same by: `severity` (String) takes the place of the card's, and
`window_panes` (Int64) is the width of the window; where they are null or missing, the card and the first need tell.
Where both keys are null, `entity` (String) names what it is about, which is no host: an interface, of which
`reporter_key` (UInt64) is a host, or the network, without one.
"""

NO_SCORES: Final = SCORES.to_frame()
"""What a detector says where there is nothing to look at."""

NO_BASELINE: Final = pl.lit(None, pl.Float64).alias("baseline")
"""The column of a detector that compares with no past."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number an operator may set.

    Attributes
    ----------
    name
        Its key under `detectors.<kind>` in the settings.
    default
        Its value unless set. Values have the default's type.
    unit
        The unit of the value.
    meaning
        What it decides.
    reason
        Why the default is what it is.
    minimum
        The lowest value that makes sense.
    threshold
        Whether it is what values are held against, or part of that: a higher one means fewer findings. All
        thresholds of a detector are raised and lowered together, to make it calmer or sharper.
    """

    name: str
    default: float
    unit: str
    meaning: str
    reason: str
    minimum: float = 0
    threshold: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """A statistic that a detector reads.

    Attributes
    ----------
    table
        Name of one of the tables in `detectors.statistics.tables`.
    panes
        How many panes, up to and with the one that closes, it is summed over.
    """

    table: str
    panes: int


@dataclass(frozen=True, slots=True)
class Card:
    """What people need to know of a detector; its page in the docs is made from it.

    Attributes
    ----------
    kind
        Kind of its findings.
    title
        Its name for people.
    sees
        What it sees, in a sentence or two.
    entity
        Which end its findings are about. Where either may be many hosts, it is the one that is not.
    severity, severity_inside
        Severity at the threshold, when the acting host is outside, and when it is one's own.
    parameters
        What an operator may set.
    mitre
        MITRE ATT&CK technique identifiers.
    false_positives
        What looks like it and is not.
    response
        What to do about it.
    version
        Raised when its findings change for the same records.
    """

    kind: str
    title: str
    sees: str
    entity: Literal["source", "target"]
    severity: Severity
    severity_inside: Severity
    parameters: tuple[Parameter, ...]
    mitre: tuple[str, ...]
    false_positives: tuple[str, ...]
    response: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class Description:
    """One hit in words: the part of a detection that is not the same for every detector."""

    summary: str
    ports: tuple[int, ...]
    protocol: int | None
    evidence: Mapping[str, Any]


class Parameters(Protocol):
    """Values of a detector's parameters, one per entity, so that overrides cost nothing."""

    def column(self, name: str, keys: pl.Series) -> pl.Series:
        """Return the value of a parameter for each entity, named after the parameter.

        Parameters
        ----------
        name
            Name of a parameter on the card.
        keys
            Keys of the entities, UInt64, shape (n,).

        Returns
        -------
        pl.Series
            Float64, shape (n,).
        """

    def least(self, name: str) -> float:
        """Return the lowest value that a parameter has for any entity."""


class View(Protocol):
    """Statistics as they stand when a pane closes. Reading changes nothing."""

    @property
    def pane(self) -> int:
        """Begin of the pane that closes, epoch seconds."""

    def table(self, need: Need, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return a statistic summed over its panes, one row per entity, in no particular order.

        Parameters
        ----------
        need
            The statistic.
        column, least
            Only rows where this column reaches this number. What it costs then follows from what is unusual,
            not from how many entities there are, so a detector asks for no more than it can report.
        """

    def addresses(self, keys: Iterable[int]) -> list[str]:
        """Write the addresses behind keys, in their order."""

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual for hosts, from the panes before those that a window of `panes` covers.

        That is the same hour on other days where enough are known, else all hours of the last days, else the
        last hour (detectors.statistics.baselines).

        Parameters
        ----------
        column
            `outbound_bytes` of the table `host`, or one of `detectors.statistics.refusals.LEARNED`.
        keys
            Keys of entities, UInt64, shape (n,). One that was never seen, or is an outside one, had nothing so far.
        panes
            Width of the windows that are compared: 1 or 5.

        Returns
        -------
        pl.DataFrame
            Shape (n, 3) in the order of `keys`: `median` and `spread` of windows of that width, Float64, within
            7 %, and `windows`, how many they rest on, UInt32. The spread is 1.4826 times the median absolute
            deviation, or the distance from the median to the ninth decile in deviations of a normal
            distribution, where that is more.
        """

    def peers(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual among all own hosts, for hosts that have no past of their own yet.

        Parameters
        ----------
        column, keys, panes
            As of `baseline`.

        Returns
        -------
        pl.DataFrame
            Shape (n, 2) in the order of `keys`: `own_windows`, windows since the host first had anything, as far as
            an hour reaches back, UInt32, 0 for one that never had; and `peers`, Float64, what nineteen in twenty
            hosts stay below in nine of ten windows, null where too little is known, or every host has six windows.
        """

    def destinations(self, hosts: pl.Series, peers: pl.Series) -> pl.DataFrame:
        """Return what is known of outside peers that own hosts sent much to, an hour or more ago.

        Parameters
        ----------
        hosts, peers
            Keys, UInt64, shape (n,).

        Returns
        -------
        pl.DataFrame
            Columns of `detectors.statistics.destinations.KNOWN`, in the order of `hosts`.
        """

    def forwarders(self, keys: pl.Series) -> pl.Series:
        """Say which hosts are gateways that forward packets for outside hosts, where records tell of it.

        Parameters
        ----------
        keys
            Keys of hosts, UInt64, shape (n,).

        Returns
        -------
        pl.Series
            Boolean, shape (n,).
        """


class Detector(ABC):
    """Turns statistics into scores, and a score that counts into words.

    A detector holds no state. Thresholding, severity, merging and suppression are shared by all.

    Attributes
    ----------
    card
        What people need to know of it.
    needs
        The statistics it reads; the window of the first one is the window of its findings.
    patience
        At every which look it looks at open panes, 1 or more. What takes long, and tells of what takes minutes,
        need not look as often as the others.
    skipped_checks
        Names of the checks in `detectors.checks` that it cannot pass, each with the reason.
    """

    card: ClassVar[Card]
    needs: ClassVar[tuple[Need, ...]]
    patience: ClassVar[int] = 1
    skipped_checks: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score every entity of a closing pane with vector operations.

        Returns
        -------
        pl.DataFrame
            The columns of `SCORES`, then any columns that `describe` wants to read. An entity is reported
            where `value >= threshold`; its row may be left out where that is plainly not so.
        """

    @abstractmethod
    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Put one row of the scores into words, with bounded evidence.

        Parameters
        ----------
        hit
            The row, with `source` and `target` as written addresses beside their keys.
        view
            What was scored; its `addresses` names other hosts.
        """
