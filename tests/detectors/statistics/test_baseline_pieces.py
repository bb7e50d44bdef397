import io

import numpy as np
import polars as pl
import pytest

from detectors.state import Change
from detectors.statistics import baseline_pieces
from detectors.statistics.baseline_pieces import SHARD, VERSION, BaselineError
from detectors.statistics.baselines import Baselines
from detectors.statistics.pane import Egress
from tests.detectors.statistics.pasts import DAY, FIRST, MONDAY, SECOND, THIRD, hosts, learn, usual


@pytest.fixture(scope="module")
def learned() -> Baselines:
    """Two hosts that were watched for four days, and one that has just come."""
    baselines = Baselines()
    for pane in range(MONDAY, MONDAY + 4 * DAY):
        baselines.learn(60 * pane, hosts({FIRST: 100 + pane % 5, SECOND: 10**6 * (pane % 60 < 9)}))
    learn(baselines, [MONDAY + 4 * DAY], lambda _: 8, key=THIRD)
    return baselines


def test_what_is_exported_is_taken_up_at_any_other_time(learned: Baselines) -> None:
    taken = Baselines()
    taken.take(learned.exported())
    assert taken.exported().equals(learned.exported())
    for week in (-100, 0, 100):
        at = MONDAY + 7 * DAY * week + 30
        median, spread, windows = usual(taken, at, 5, FIRST)
        assert median == pytest.approx(510, rel=1 / 16)
        assert (spread, windows) == (0, 3 * 60)
        median, spread, _ = usual(taken, at, 5, SECOND)
        assert median == 0
        assert spread > 10**6


def test_of_what_is_taken_up_the_last_hour_is_no_part(learned: Baselines) -> None:
    taken = Baselines()
    taken.take(learned.exported())
    assert usual(taken, MONDAY + 4 * DAY + 2, key=THIRD) == (0, 0, 0)
    learn(taken, range(MONDAY - 7 * DAY, MONDAY - 7 * DAY + 90), lambda _: 8, key=THIRD)
    assert usual(taken, MONDAY - 7 * DAY + 90, key=THIRD) == (8, 0, 60)


def test_what_is_taken_up_can_be_stored_and_goes_on_learning(learned: Baselines) -> None:
    taken, again = Baselines(), Baselines()
    taken.take(learned.exported())
    again.restore([Change(change.name, change.encoded()) for change in taken.changes()])
    for baselines in (taken, again):
        learn(baselines, range(MONDAY + 7 * DAY, MONDAY + 7 * DAY + 200), lambda _: 150)
    assert again.exported().equals(taken.exported())


def test_destinations_are_exported_beside_the_bytes_that_hosts_send() -> None:
    hosts_of = pl.DataFrame({"key": [FIRST, SECOND], "internal": True, "outbound_bytes": 5_000_000, "rejected": 1})
    baselines = Baselines()
    baselines.learn(60 * MONDAY, hosts_of.cast({"key": pl.UInt64, "outbound_bytes": pl.Int64, "rejected": pl.Int64}))
    keys, peers = np.array([FIRST, SECOND], np.uint64), np.array([8, 9], np.uint64)
    baselines.destinations.learn(Egress(keys, keys, peers, np.array([2_000_000, 3_000_000]), np.zeros(2, np.int64)))
    taken = Baselines()
    taken.take(baselines.exported())
    assert taken.exported().equals(baselines.exported())
    assert taken.destinations.known(keys, peers).equals(baselines.destinations.known(keys, peers))
    assert taken.destinations.known(keys, peers)["hours"].to_list() == [1, 1]
    again = Baselines()
    again.restore([Change(change.name, change.encoded()) for change in taken.changes()])
    assert again.exported().equals(taken.exported())


def test_nothing_is_exported_by_baselines_that_learned_nothing() -> None:
    assert Baselines().exported().schema == SHARD
    assert Baselines().exported().is_empty()


def test_the_bytes_of_the_same_state_are_the_same_wherever_rows_lie(learned: Baselines) -> None:
    again = Baselines()
    learn(again, [MONDAY - 9 * DAY], lambda _: 5, key=THIRD)
    again.take(learned.exported())
    assert again.exported().equals(learned.exported())


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"version": pl.lit(VERSION + 1, pl.Int32)}, "version 3 are not known; this version reads up to 2"),
        ({"version": pl.lit(0, pl.Int32)}, "version 0 are not known"),
        ({"hash_version": pl.lit(9, pl.Int32)}, "named by hash 9, and here by 1"),
        ({"shard": pl.lit(300, pl.Int32)}, "there is no such shard"),
        ({"shard": pl.lit(77, pl.Int32)}, "hosts belong to other shards"),
        ({"count": pl.lit(1, pl.Int32)}, "hours were learned that were not counted"),
        ({"learned": pl.col("learned").list.head(7)}, "hours are missing"),
        ({"first": pl.col("first").list.head(0)}, "hosts lack numbers"),
        ({"ceilings": pl.lit(b"")}, "hosts lack limits"),
        ({"summaries": pl.lit(b"\0")}, "hosts lack hours"),
        ({"key": pl.concat_list("key", "key")}, "hosts lack numbers"),
        ({"column": pl.lit(None, pl.String)}, "the columns are not those of baselines"),
        ({"count": pl.lit("9")}, "the columns are not those of baselines"),
    ],
)
def test_what_makes_no_sense_is_refused(learned: Baselines, spoilt: dict[str, pl.Expr], message: str) -> None:
    rows = learned.exported().with_columns(**spoilt)
    with pytest.raises(BaselineError, match=message):
        Baselines().take(rows)


def test_destinations_of_hosts_of_other_shards_are_refused(learned: Baselines) -> None:
    strange = [[{"host": 255 << 56, "peer": 2, "first": 1, "last": 1, "hours": 1, "most": 9}]]
    row = learned.exported().head(1).with_columns(pl.Series("destinations", strange, SHARD["destinations"]))
    with pytest.raises(BaselineError, match="destinations belong to hosts of other shards"):
        Baselines().take(row)


def test_hosts_out_of_order_are_refused(learned: Baselines) -> None:
    row = learned.exported().filter(pl.col("key").list.len() > 0).head(1)
    doubled = row.with_columns(
        *(pl.concat_list(name, name) for name in ("key", "first", "written", "seen")),
        *(pl.lit(row[name][0] * 2).alias(name) for name in ("ceilings", "summaries")),
    )
    with pytest.raises(BaselineError, match="hosts are not in order"):
        Baselines().take(doubled)


def test_rows_without_a_version_are_refused(learned: Baselines) -> None:
    with pytest.raises(BaselineError, match="version None are not known"):
        Baselines().take(learned.exported().drop("version"))


def test_an_earlier_version_is_brought_forward_step_by_step(
    learned: Baselines, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = learned.exported().rename({"seen": "last_seen"}).with_columns(version=pl.lit(-1, pl.Int32))
    steps = {
        -1: lambda rows: rows.rename({"last_seen": "seen"}).with_columns(version=pl.lit(0, pl.Int32)),
        0: lambda rows: rows.with_columns(version=pl.lit(VERSION, pl.Int32)).select(SHARD.names()),
    }
    monkeypatch.setattr(baseline_pieces, "MIGRATIONS", steps)
    taken = Baselines()
    taken.take(old)
    assert taken.exported().equals(learned.exported())


def test_stored_pieces_of_an_unknown_version_are_refused_too(learned: Baselines) -> None:
    def newer(change: Change) -> Change:
        if "/shards/" not in change.name:
            return change
        buffer = io.BytesIO()
        change.frame().with_columns(version=pl.lit(7, pl.Int32)).write_ipc(buffer)
        return Change(change.name, buffer.getvalue())

    with pytest.raises(BaselineError, match="version 7 are not known"):
        Baselines().restore(newer(change) for change in learned.changes(whole=True))
