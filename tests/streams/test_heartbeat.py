from aiokafka import ConsumerRecord

from streams.heartbeat import KEY, heartbeat, last_heartbeat


def record(key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("findings", 0, 0, 0, 0, key, value, None, 0, 0, tuple(headers.items()))


def test_the_last_heartbeat_is_found_among_findings() -> None:
    beats = [heartbeat("findings", now) for now in (7.5, 9.25, 8)]
    several = [record(each.key, each.value, dict(each.headers)) for each in beats]
    assert last_heartbeat([record(b"id", b"{}", {}), *several]) == 9.25


def test_what_is_no_heartbeat_is_none() -> None:
    beat = heartbeat("findings", 7)
    others = [record(b"id", None, dict(beat.headers)), record(KEY, b"{}", dict(beat.headers)), record(KEY, None, {})]
    assert last_heartbeat(others) is None
    assert last_heartbeat([]) is None
