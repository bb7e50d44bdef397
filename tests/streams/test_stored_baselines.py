from pathlib import Path

import pytest

from detectors.state import Change
from streams import baseline_files
from streams.by_host.division import WATCHED, put_in, taken_out
from streams.checkpoint import CheckpointError
from streams.pipeline import Pipeline
from streams.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "baselines" / "version-1.parquet.zst"


def stored(changes: list[Change]) -> list[Change]:
    return [Change(change.name, change.encoded()) for change in changes]


def test_what_is_put_in_is_what_the_next_worker_has_and_what_is_taken_out() -> None:
    golden = baseline_files.read(GOLDEN)
    state = stored(put_in(WATCHED, [], golden))
    pipeline = Pipeline(Settings())
    pipeline.restore(state)
    assert pipeline.watch.baselines.exported().equals(golden.exported())
    assert pipeline.expected("flows/0") is None
    assert taken_out(WATCHED, state).exported().equals(golden.exported())


def test_baselines_are_replaced_whole_and_all_else_stays() -> None:
    others = [Change("watch/position", b"{}"), Change("incidents/open", b"[]"), Change("watch/baselines2/x", b"")]
    before = [*others, Change("watch/baselines/old/position", b"[]"), Change("watch/baselines/old/shards/3", b"")]
    after = put_in(WATCHED, before, baseline_files.read(GOLDEN))
    assert after[: len(others)] == others
    assert {change.name.split("/")[2] for change in after[len(others) :]} == {"sent", "rejected", "destinations"}


def test_nothing_is_taken_out_of_a_checkpoint_without_baselines() -> None:
    assert taken_out(WATCHED, [Change("watch/position", b"{}")]).hosts == 0


def test_stored_baselines_of_a_later_version_are_refused() -> None:
    state = put_in(WATCHED, [], baseline_files.read(GOLDEN))
    place = next(index for index, change in enumerate(state) if "/shards/" in change.name)
    later = state[place].frame()
    state[place] = Change(state[place].name, later.with_columns(version=later["version"] + 1))
    with pytest.raises(CheckpointError, match="in the checkpoint: baselines of version 3 are not known"):
        taken_out(WATCHED, state)
