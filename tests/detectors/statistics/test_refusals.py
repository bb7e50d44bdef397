import numpy as np
import polars as pl
import pytest

from detectors.examples import records
from detectors.statistics import refusals
from detectors.statistics.refusal_sums import INTERFACE, NETWORK
from detectors.statistics.refusals import Refusals, text_keys
from detectors.table import Table
from tests.detectors.records import Row, at
from tests.detectors.statistics.refused import kept, refused, sums


def folded(*rows: Row) -> pl.DataFrame:
    return refusals.fold(refusals.refused(records(rows).flows))


def test_records_that_passed_leave_nothing() -> None:
    assert folded(refused(action="ACCEPT")).is_empty()


def test_answers_and_resets_that_were_refused_leave_nothing() -> None:
    assert folded(refused(tcp_flags=18), refused(tcp_flags=4)).is_empty()


def test_rows_of_the_same_contact_interface_and_reason_are_summed() -> None:
    rows = [refused(end=at(0, 5)), refused(end=at(0, 50), weight=3), refused(interface_id="eni-2"), refused(end=at(1))]
    found = folded(*rows).sort("pane", "interface_id")
    assert found.schema == refusals.REFUSALS
    assert found["rejected"].to_list() == [4, 1, 1]
    assert found.select("first_seen", "last_seen").row(0) == (at(0, 5), at(0, 50))


def test_batches_and_their_order_do_not_matter() -> None:
    rows = [refused(end=at(0, n), interface_id=f"eni-{n % 3}", destination_port=n % 4) for n in range(40)]
    together, apart = kept(records(rows)), kept(*(records([row]) for row in reversed(rows)))
    for name in refusals.TABLES:
        expected, found = (store.table(name, at(0), 1) for store in (together, apart))
        assert found.sort(found.columns).equals(expected.sort(expected.columns))


def test_windows_are_summed_over_their_panes() -> None:
    store = kept(records([refused(), refused(end=at(2)), refused(end=at(4))]))
    assert (sums(store, NETWORK, 5, 4), sums(store, NETWORK, 3, 4), sums(store, NETWORK, 1, 3)) == ([3], [2], [])


def test_reasons_are_kept_where_they_are_logged() -> None:
    table = records([refused(), refused()])
    reasons = pl.Series("reject_reason", ["BPA", None], pl.String)
    rows = kept(Table(table.frame.with_columns(reasons))).table("refusal", at(0), 1)
    assert sorted(rows.select("reason", "rejected").rows()) == [("", 1), ("BPA", 1)]


def test_what_is_stored_is_taken_up_again() -> None:
    store = kept(records([refused(), refused(interface_id="eni-2")]))
    again = Refusals()
    again.restore(store.changes(whole=True))
    assert sums(again, INTERFACE) == sums(store, INTERFACE) == [1, 1]
    again.drop_before(at(1))
    assert sums(again, NETWORK) == []


@pytest.mark.parametrize("longest", ["", "x" * 7, "x" * 8, "x" * 50])
def test_the_hash_of_a_name_does_not_depend_on_the_others(longest: str) -> None:
    names = ["eni-0123456789abcdef0", "eni-1", "", "\u00e9ni"]
    hashed = text_keys(pl.Series([*names, longest]))[: len(names)]
    assert hashed.tolist() == [int(text_keys(pl.Series([name]))[0]) for name in names]
    assert len(np.unique(hashed)) == len(names)


def test_hashes_of_names_are_the_same_for_ever() -> None:
    assert text_keys(pl.Series(["eni-0123456789abcdef0"])).tolist() == [12919397044338018774]
