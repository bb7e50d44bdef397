import base64
import gzip
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import trustme

from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block, Position
from streams.sources.endpoint import EndpointSettings, EndpointSource
from streams.sources.places import parameters
from streams.sources.resumed import END
from tests.streams.flow_lines import flow
from tests.streams.programs import every


class Answer(NamedTuple):
    status: int
    type: str | None
    said: Mapping[str, Any]


class Served:
    """An endpoint that is served, and what it yielded; Kafka has each block at once unless it is held."""

    def __init__(self, query: str, block_bytes: int = 1 << 17) -> None:
        place = f"http://127.0.0.1:0/flows{query}"
        self.source = EndpointSource(place, parameters(place, EndpointSettings), block_bytes=block_bytes)
        self.blocks: list[Block] = []
        self.kafka = threading.Event()
        self.kafka.set()

    def read(self) -> None:
        for block in self.source.blocks():
            self.blocks.append(block)
            self.kafka.wait(60)
            self.source.acknowledge(block)

    @property
    def text(self) -> str:
        return "\n".join(block.value.decode() for block in self.blocks)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/flows") -> Answer:
        return ask(self.source.address, "POST", path, body, headers)


def ask(
    address: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type"), json.loads(response.read()))
    finally:
        connection.close()


@contextmanager
def serving(query: str = "", block_bytes: int = 1 << 17) -> Iterator[Served]:
    served = Served(query, block_bytes)
    thread = threading.Thread(target=served.read)
    thread.start()
    try:
        yield served
    finally:
        served.kafka.set()
        served.source.stop()
        thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as endpoint:
        yield endpoint


def delivered(request: str, *data: bytes) -> tuple[bytes, dict[str, str]]:
    records = [{"data": base64.b64encode(each).decode()} for each in data]
    body = json.dumps({"requestId": request, "timestamp": 1_700_000_000_000, "records": records}).encode()
    return body, {"X-Amz-Firehose-Request-Id": request, "Content-Type": "application/json"}


def test_a_delivery_of_firehose_is_answered_as_its_contract_says(served: Served) -> None:
    answer = served.post(*delivered("id-1", b"one\ntwo\n", b"three"))
    assert (answer.status, answer.type) == (200, "application/json")
    assert answer.said["requestId"] == "id-1"
    assert isinstance(answer.said["timestamp"], int)
    assert served.text == "one\ntwo\nthree"


def test_a_compressed_delivery_is_taken(served: Served) -> None:
    body, headers = delivered("id-1", b"one\n")
    answer = served.post(gzip.compress(body), headers | {"Content-Encoding": "gzip"})
    assert (answer.status, served.text) == (200, "one")


def test_data_that_is_compressed_by_itself_stays_as_it_is(served: Served) -> None:
    subscription = gzip.compress(b'{"messageType":"DATA_MESSAGE","logEvents":[]}')
    assert served.post(*delivered("id-1", subscription, b"one\n")).status == 200
    assert sorted(block.value for block in served.blocks) == sorted([subscription, b"one"])


def test_lines_can_be_posted_plain_and_compressed(served: Served) -> None:
    header = "srcaddr dstaddr"
    assert served.post(f"{header}\n192.0.2.1 10.0.0.5\n".encode()).status == 200
    assert served.blocks[0].headers == {FORMAT_HEADER: header.encode()}
    assert served.post(gzip.compress(b"two\n")).status == 200
    assert served.post(b"").status == 200
    assert served.text == f"{header}\n192.0.2.1 10.0.0.5\ntwo"


def test_nobody_is_answered_before_kafka_has_it(served: Served) -> None:
    served.kafka.clear()
    answers: list[Answer] = []
    posting = threading.Thread(target=lambda: answers.append(served.post(b"one")))
    posting.start()
    assert any(served.blocks for _ in every(0.01, seconds=60))
    assert answers == []
    served.kafka.set()
    posting.join(60)
    assert [answer.status for answer in answers] == [200]


def test_who_waits_too_long_is_told_to_retry_and_the_retry_counts_once() -> None:
    with serving("?answer_seconds=0.05") as served:
        served.kafka.clear()
        late = served.post(*delivered("id-1", b"one"))
        assert late.status == 503
        assert late.said["errorMessage"] == "Kafka does not have it yet; try again"
        assert late.said["requestId"] == "id-1"
        served.kafka.set()
        assert any(served.post(*delivered("id-1", b"one")).status == 200 for _ in every(0.01, seconds=60))
        assert served.text == "one"


def test_a_retry_and_a_repeated_key_count_once(served: Served) -> None:
    for _ in range(3):
        assert served.post(*delivered("id-1", b"one")).status == 200
        assert served.post(b"two", {"Idempotency-Key": "mine"}).status == 200
    assert sorted(served.text.split()) == ["one", "two"]


def test_what_an_earlier_run_published_in_part_is_completed() -> None:
    lines = [flow(port=number + 1) for number in range(100)]
    body = delivered("id-1", "\n".join(lines).encode())
    with serving(block_bytes=1000) as served:
        assert served.post(*body).status == 200
        first = served.blocks[:3]
    assert len(served.blocks) > 5
    assert [block.position == END for block in served.blocks[-2:]] == [False, True]
    with serving(block_bytes=1000) as again:
        again.source.resume({block.origin: Position(block.position) for block in first})
        assert again.post(*body).status == 200
        assert again.blocks == served.blocks[3:]
        assert again.post(*body).status == 200
        assert again.blocks == served.blocks[3:]


def test_ids_are_forgotten_in_the_end() -> None:
    with serving("?remember_seconds=0") as served:
        served.post(*delivered("id-1", b"one"))
        assert list(served.source.forget()) == [served.source.origin("id-1")]
        assert list(served.source.forget()) == []


def test_too_many_at_a_time_are_told_to_retry() -> None:
    with serving("?most_requests=1") as served:
        served.kafka.clear()
        first = threading.Thread(target=served.post, args=(b"one",))
        first.start()
        assert any(served.blocks for _ in every(0.01, seconds=60))
        assert served.post(b"two").status == 503
        served.kafka.set()
        first.join(60)
        assert served.post(b"two").status == 200


BODY, HEADERS = delivered("id-1", b"one")
COMPRESSED = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"),
    [
        (BODY[:-1], {}, 400, "no delivery of Firehose"),
        (b"[]", {}, 400, "no delivery of Firehose"),
        (b'{"requestId": "id-1", "records": [{"data": "?"}]}', {}, 400, "no delivery of Firehose"),
        (BODY, {"X-Amz-Firehose-Request-Id": "id-2"}, 400, "'id-1', its header of 'id-2'"),
        (BODY, COMPRESSED, 400, "no whole gzip"),
        (gzip.compress(BODY, mtime=0)[:-9], COMPRESSED, 400, "no whole gzip"),
        (BODY, {"Content-Encoding": "br"}, 400, "'br' is unknown"),
        (b"x" * 100_001, {}, 413, "more than 100,000 bytes"),
        (gzip.compress(bytes(100_001), mtime=0), COMPRESSED, 413, "more than 100,000 bytes"),
        (b"", {"Transfer-Encoding": "chunked"}, 411, "Content-Length"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(
    body: bytes, headers: dict[str, str], status: int, why: str
) -> None:
    with serving("?most_bytes=100000") as served:
        answer = served.post(body, HEADERS | headers)
        assert answer.status == status
        assert why in answer.said["errorMessage"]
        assert served.post(b"two").status == 200
        assert served.text == "two"


def test_other_paths_and_methods_are_not_for_lines(served: Served) -> None:
    assert served.post(b"one", path="/").status == 404
    assert ask(served.source.address, "GET", "/flows").status == 405
    assert served.blocks == []


def test_strangers_are_kept_out(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("correct horse\n")
    with serving(f"?access_key_file={key}") as served:
        body, headers = delivered("id-1", b"one")
        assert served.post(body, headers).status == 401
        assert served.post(body, headers | {"X-Amz-Firehose-Access-Key": "wrong"}).status == 401
        assert served.post(body, headers | {"X-Amz-Firehose-Access-Key": "correct horse"}).status == 200
        assert served.post(b"two", {"Authorization": "Bearer correct horse"}).status == 200
        assert served.text == "one\ntwo"


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = f"certificate_file={tmp_path / 'both.pem'}&key_file={tmp_path / 'both.pem'}"
    source = EndpointSource.at(f"https://127.0.0.1:0/?{files}")
    seen: list[Block] = []

    def read() -> None:
        for block in source.blocks():
            seen.append(block)
            source.acknowledge(block)

    thread = threading.Thread(target=read)
    thread.start()
    connection = HTTPSConnection(urlsplit(source.address).netloc, context=context, timeout=60)
    connection.request("POST", "/", b"one")
    assert connection.getresponse().status == 200
    connection.close()
    source.stop()
    thread.join()
    assert [block.value for block in seen] == [b"one"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "http://0.0.0.0:0/",
            "http://0.0.0.0:0/: anybody could post there; set access_key_file, or listen on 127.0.0.1",
        ),
        ("https://127.0.0.1:0/", "https://127.0.0.1:0/: https needs certificate_file and key_file"),
        (
            "http://127.0.0.1:0/?access_key_file=/nowhere",
            "http://127.0.0.1:0/: access_key_file: /nowhere cannot be read",
        ),
        ("http://127.0.0.1:0/?key_file=x", "http://127.0.0.1:0/: certificate_file and key_file go together"),
        ("http://192.0.2.1:0/?access_key_file={key}", "http://192.0.2.1:0/: cannot be listened on"),
    ],
)
def test_a_place_where_it_may_not_listen_is_named(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "key").write_text("correct horse")
    with pytest.raises(InputError) as caught:
        EndpointSource.at(place.format(key=tmp_path / "key"))
    assert str(caught.value).startswith(message)
