"""A bucket with trouble of every kind in it: each object is answered with a status and a body."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

BUCKET = "troubled"

_ERROR = "<Error><Code>{code}</Code><Message>no</Message></Error>"
_CONTENTS = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-05T09:20:00.000Z</LastModified><ETag>&quot;{key}&quot;</ETag>"
    "<Size>{size}</Size></Contents>"
)


class Refused:
    """An answer that is an error of S3."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.body = status, _ERROR.format(code=code).encode()


@contextmanager
def serving(objects: Mapping[str, bytes | Refused]) -> Iterator[str]:
    """Serve objects for as long as the `with` block lasts; gives the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, objects)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, objects: Mapping[str, bytes | Refused], *arguments: Any) -> None:
        self._objects = objects
        super().__init__(*arguments)

    def do_GET(self) -> None:
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").strip("/")
        found = self._objects[key] if key else self._listing()
        self.send_response(found.status if isinstance(found, Refused) else 200)
        self.end_headers()
        self.wfile.write(found.body if isinstance(found, Refused) else found)

    def do_HEAD(self) -> None:
        self.send_response(301)
        self.send_header("x-amz-bucket-region", "")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        del arguments

    def _listing(self) -> bytes:
        contents = "".join(_CONTENTS.format(key=key, size=100) for key in self._objects)
        head = f"<Name>{BUCKET}</Name><KeyCount>{len(self._objects)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{head}{contents}</ListBucketResult>".encode()
