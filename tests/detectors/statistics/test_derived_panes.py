"""Statistics of a pane are worked out once, and again only where something was added to it while it was open."""

from functools import partial

from detectors.examples import records
from detectors.statistics import contacts, conversations, volumes
from detectors.statistics.contacts import CONTACTS
from detectors.statistics.conversations import CONVERSATIONS
from detectors.statistics.derived_panes import DerivedPanes
from detectors.statistics.panes import Panes
from detectors.statistics.volumes import VOLUMES
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt


class Counted:
    """What was counted, and the panes that are worked out from it."""

    def __init__(self) -> None:
        self.contacts = Panes(CONTACTS, partial(contacts.merged, by_pane=True))
        self.volumes = Panes(VOLUMES, volumes.merged)
        self.conversations = Panes(CONVERSATIONS, conversations.merged)
        self.panes = DerivedPanes(self.contacts, self.volumes, self.conversations)

    def add(self, *rows: Row) -> None:
        flows = records(rows).flows
        self.contacts.add(contacts.fold(flows))
        self.volumes.add(volumes.fold(flows))
        self.conversations.add(conversations.fold(flows))


def tried(pane: int, port: int = 22) -> Row:
    return attempt(OUTSIDE, INSIDE, port, start=at(pane), end=at(pane, 5))


def test_only_panes_that_hold_something_are_there() -> None:
    counted = Counted()
    counted.add(tried(0), tried(2), tried(5))
    assert [pane.begin for pane in counted.panes.between(at(0), at(5), at(0))] == [at(0), at(2)]


def test_a_pane_is_worked_out_once_unless_something_is_added_while_it_is_open() -> None:
    counted = Counted()
    counted.add(tried(0))
    (first,) = counted.panes.between(at(0), at(1), at(0))
    (again,) = counted.panes.between(at(0), at(1), at(0))
    assert again is first
    counted.add(tried(0, port=23))
    (more,) = counted.panes.between(at(0), at(1), at(0))
    assert more is not first
    assert len(more.contacts) == 2


def test_what_was_worked_out_while_a_pane_was_open_is_right_once_it_is_closed() -> None:
    counted = Counted()
    counted.add(tried(0))
    (first,) = counted.panes.between(at(0), at(1), at(0))
    (closed,) = counted.panes.between(at(0), at(1), at(1))
    assert closed is first


def test_what_was_forgotten_is_worked_out_anew() -> None:
    counted = Counted()
    counted.add(tried(0), tried(1), tried(2))
    before = counted.panes.between(at(0), at(3), at(2))
    counted.panes.drop_before(at(1), at(2))
    after = counted.panes.between(at(0), at(3), at(2))
    assert [one is other for one, other in zip(before, after, strict=True)] == [False, True, True]
