"""The least of S3 that can be read from: a list of objects, and their bytes out of memory."""

import hashlib
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

_MODIFIED: Final = "2026-01-05T09:20:00.000Z"
_LISTED: Final = (
    "<Contents><Key>{key}</Key><LastModified>" + _MODIFIED + "</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class StubS3:
    """Serves a bucket in a process of its own as long as the `with` block lasts.

    Parameters
    ----------
    bucket
        Its name.
    objects
        Keys and bytes of what is in it.
    """

    def __init__(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        self.objects = objects
        self._bucket = bucket
        # What waits in a socket that listens is not lost while the process starts.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, bucket, objects))
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._process = get_context("fork").Process(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._process.start()
        self._server.server_close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._process.terminate()
        self._process.join()

    def _serve(self) -> None:
        self._server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, bucket: str, objects: Mapping[str, bytes], *arguments: Any) -> None:
        self._bucket = bucket
        self._objects = objects
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        key = path.removeprefix(self._bucket).lstrip("/")
        if not key:
            self._answer(self._listing().encode(), "application/xml")
        else:
            body = self._objects[key]
            self._answer(body, "binary/octet-stream", {"ETag": f'"{_etag(body)}"'})

    def log_message(self, *arguments: Any) -> None:
        del arguments

    def _listing(self) -> str:
        contents = "".join(
            _LISTED.format(key=escape(key), etag=_etag(body), size=len(body)) for key, body in self._objects.items()
        )
        head = f"<Name>{self._bucket}</Name><KeyCount>{len(self._objects)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{head}{contents}</ListBucketResult>'

    def _answer(self, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _etag(body: bytes) -> str:
    return hashlib.md5(body[:1024], usedforsecurity=False).hexdigest()
