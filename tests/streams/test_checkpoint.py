import asyncio
import json

import polars as pl
import pytest

from detectors.state import Change
from streams.checkpoint import FORMAT_VERSION, PART_BYTES, CheckpointError, Checkpoints, Loaded
from streams.output import FencedError
from tests.streams.memory import Memory

ONE, TWO = Change("one", b"1"), Change("two", b"2")
FRAME = Change(
    "frame", pl.DataFrame({"key": range(100_000)}, schema={"key": pl.UInt64}).with_columns(pl.col("key").hash())
)
GONE = Change("one", None)


@pytest.fixture
def memory() -> Memory:
    return Memory()


async def owner(memory: Memory, *saves: list[Change]) -> Checkpoints:
    checkpoints = Checkpoints(memory)
    await checkpoints.load()
    for changes in saves:
        await checkpoints.save(changes)
    return checkpoints


async def load(memory: Memory) -> Loaded:
    return await Checkpoints(memory).load()


async def state(memory: Memory) -> dict[str, bytes | None]:
    return {change.name: change.encoded() for change in (await load(memory)).changes}


async def test_nothing_is_found_where_nothing_was_written(memory: Memory) -> None:
    assert await load(memory) == Loaded([], [])


async def test_what_was_saved_is_loaded_with_later_changes_over_earlier_ones(memory: Memory) -> None:
    await owner(memory, [ONE, TWO], [Change("two", b"22")], [GONE, Change("three", b"3")])
    assert await state(memory) == {"two": b"22", "three": b"3"}


async def test_large_pieces_are_cut_into_messages_and_put_together_again(memory: Memory) -> None:
    written = await (await owner(memory)).save([FRAME, Change("empty", b"")])
    assert written.pieces == 2
    assert written.bytes > PART_BYTES
    assert len(memory.keys("piece")) == -(-written.bytes // PART_BYTES) + 1
    assert max(map(len, memory.values.values())) <= PART_BYTES
    empty, frame = (await load(memory)).changes
    assert frame.frame().equals(FRAME.frame())
    assert empty.encoded() == b""


async def test_only_what_changed_is_written_again(memory: Memory) -> None:
    checkpoints = await owner(memory, [FRAME, ONE])
    assert (await checkpoints.save([TWO])).bytes == 1
    assert set(await state(memory)) == {"frame", "one", "two"}


async def test_what_no_manifest_needs_is_deleted(memory: Memory) -> None:
    checkpoints = await owner(memory)
    for number in range(20):
        await checkpoints.save([Change("one", b"%d" % number)])
    assert len(memory.keys("manifest")) == 2
    assert len(memory.keys("piece")) == 2
    await owner(memory, [ONE])
    assert len(memory.values) == 2


@pytest.mark.parametrize("writes", range(12))
async def test_a_writer_that_breaks_off_leaves_the_checkpoint_before_or_the_new_one(
    memory: Memory, writes: int
) -> None:
    checkpoints = await owner(memory, [ONE, TWO])
    before, after = {"one": b"1", "two": b"2"}, {"one": b"11", "two": b"22", "three": b"33"}
    memory.writes_left = writes
    try:
        await checkpoints.save([Change(name, value) for name, value in after.items()])
    except CheckpointError:
        assert writes < 8
    sealed = writes > 3
    assert await state(memory) == (after if sealed else before)


@pytest.mark.parametrize("writes", range(10))
async def test_so_does_a_new_owner_that_breaks_off(memory: Memory, writes: int) -> None:
    await owner(memory, [ONE, TWO], [Change("one", b"11")])
    successor = Checkpoints(memory)
    await successor.load()
    memory.writes_left = writes
    try:
        await successor.save([Change("one", b"111"), TWO])
    except CheckpointError:
        assert writes < 9
    assert await state(memory) == {"one": b"111" if writes > 2 else b"11", "two": b"2"}


async def test_a_writer_that_was_taken_over_from_spoils_nothing(memory: Memory) -> None:
    zombie = await owner(memory, [ONE, TWO], [Change("one", b"11")])
    successor = await owner(memory, [Change("one", b"111"), TWO])
    memory.fenced = True
    with pytest.raises(FencedError):
        await zombie.save([Change("one", b"wrong"), GONE])
    assert await state(memory) == {"one": b"111", "two": b"2"}
    memory.fenced = False
    await successor.save([Change("one", b"1111")])
    assert await state(memory) == {"one": b"1111", "two": b"2"}


async def test_even_an_unfenced_zombie_only_writes_below_its_successor(memory: Memory) -> None:
    zombie = await owner(memory, [ONE])
    await owner(memory, [TWO])
    for _ in range(5):
        await zombie.save([Change("one", b"wrong")])
    assert await state(memory) == {"two": b"2"}


async def test_a_damaged_manifest_is_passed_over_for_a_complete_one_before_it(memory: Memory) -> None:
    await owner(memory, [ONE, TWO], [Change("one", b"11")])
    damage(memory, newest_manifest(memory))
    loaded = await load(memory)
    assert {change.name: change.encoded() for change in loaded.changes} == {"one": b"1", "two": b"2"}
    assert len(loaded.damages) == 1


async def test_a_missing_or_damaged_piece_makes_its_checkpoint_useless(memory: Memory) -> None:
    await owner(memory, [ONE, TWO], [Change("one", b"11")])
    newest = max(memory.keys("piece"))
    damage(memory, newest)
    assert await state(memory) == {"one": b"1", "two": b"2"}
    del memory.values[newest]
    assert await state(memory) == {"one": b"1", "two": b"2"}
    shared = next(key for key in memory.keys("piece") if "/two/" in key)
    del memory.values[shared]
    with pytest.raises(
        CheckpointError, match=r"no checkpoint can be used .*two/0 is missing.*; restore the state topic"
    ):
        await load(memory)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[1]",
        json.dumps({"version": [FORMAT_VERSION, 1]}).encode(),
        json.dumps({"version": [FORMAT_VERSION, 1], "checksum": "0", "body": "{}"}).encode(),
    ],
)
async def test_a_manifest_that_is_none_is_refused_with_what_to_do(memory: Memory, manifest: bytes) -> None:
    memory.values[f"manifest/{1:012}/somebody/0"] = manifest
    with pytest.raises(CheckpointError, match="begin anew without state"):
        await load(memory)


async def test_an_unknown_version_is_refused_even_beside_one_that_is_known(memory: Memory) -> None:
    await owner(memory, [ONE])
    newer = json.dumps({"version": [FORMAT_VERSION + 1, 1], "anything": "else"})
    memory.values[f"manifest/{99:012}/somebody/0"] = newer.encode()
    with pytest.raises(
        CheckpointError, match=r"has version 2\.1, and this Flowhawk knows 1\.\d+; run the Flowhawk that"
    ):
        await load(memory)


async def test_keys_of_an_unknown_kind_are_refused(memory: Memory) -> None:
    memory.values["delta/1/2/3"] = b""
    with pytest.raises(CheckpointError, match="holds 'delta/1/2/3', which this Flowhawk does not know"):
        await load(memory)


async def test_pieces_without_a_manifest_count_for_nothing(memory: Memory) -> None:
    checkpoints = await owner(memory)
    memory.writes_left = 1
    with pytest.raises(CheckpointError):
        await checkpoints.save([ONE, TWO])
    memory.writes_left = 100
    assert await load(memory) == Loaded([], [])
    await owner(memory, [TWO])
    assert len(memory.values) == 2


async def test_encoding_does_not_hold_up_the_event_loop(memory: Memory) -> None:
    checkpoints, turns = await owner(memory), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await checkpoints.save([FRAME] * 5)
    counting.cancel()
    assert turns > 5


def newest_manifest(memory: Memory) -> str:
    numbers = {key: json.loads(json.loads(memory.values[key])["body"])["number"] for key in memory.keys("manifest")}
    return max(numbers, key=numbers.__getitem__)


def damage(memory: Memory, key: str) -> None:
    """Change one byte in the middle."""
    value = bytearray(memory.values[key])
    value[len(value) // 2] ^= 1
    memory.values[key] = bytes(value)
