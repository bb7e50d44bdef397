"""Statistics of panes, worked out from what was counted when somebody first asks for them."""

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.conversations import REMEMBERED_SECONDS
from detectors.statistics.pane import Counted, Pane
from detectors.statistics.panes import Panes


class DerivedPanes:
    """Keeps the statistics of a pane until something is added to it; those of a closed one for good.

    Parameters
    ----------
    contacts, volumes, conversations
        What was counted.
    """

    def __init__(self, contacts: Panes, volumes: Panes, conversations: Panes) -> None:
        self._contacts = contacts
        self._volumes = volumes
        self._conversations = conversations
        self._closed: dict[int, Pane] = {}
        self._open: dict[int, tuple[tuple[int, ...], Pane]] = {}

    def between(self, begin: int, end: int, closed_until: int) -> list[Pane]:
        """Return the panes from `begin` up to `end`, not included, that hold anything.

        Parameters
        ----------
        begin, end
            Begins of panes, epoch seconds.
        closed_until
            Nothing is added any more to a pane that begins before it, epoch seconds.
        """
        begins = range(begin, end, PANE_SECONDS)
        return [self._pane(each, closed_until) for each in begins if each in self._contacts or each in self._volumes]

    def drop_before(self, oldest: int, closed_until: int) -> None:
        """Forget the panes before `oldest`, and what was worked out of panes while they were open."""
        self._closed = {begin: pane for begin, pane in self._closed.items() if begin >= oldest}
        self._open = {begin: each for begin, each in self._open.items() if begin >= closed_until}

    def _pane(self, begin: int, closed_until: int) -> Pane:
        if begin in self._closed:
            return self._closed[begin]
        end, remembered = begin + PANE_SECONDS, begin - REMEMBERED_SECONDS
        counts = self._contacts.version(begin, end) + self._volumes.version(begin, end)
        version = counts + self._conversations.version(remembered, end)
        known, pane = self._open.pop(begin, (None, None))
        if pane is None or known != version:
            counted = Counted(
                self._contacts.summed(begin),
                self._volumes.summed(begin),
                self._conversations.summed(begin),
                self._conversations.between(remembered, end),
            )
            pane = Pane(begin, counted)
        if begin < closed_until:
            self._closed[begin] = pane
        else:
            self._open[begin] = version, pane
        return pane
