"""The web server behind an endpoint: who may post, what is taken, and what is answered."""

import hmac
import json
import socket
import ssl
import sys
import threading
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from streams.errors import InputError
from streams.sources.posted import TooLargeError, blocks_of, delivery, opened

if TYPE_CHECKING:
    from streams.sources.endpoint import EndpointSettings, EndpointSource

_REQUEST_ID: Final = "X-Amz-Firehose-Request-Id"
_ACCESS_KEY: Final = "X-Amz-Firehose-Access-Key"
_SILENT_SECONDS: Final = 60
"""How long a client may send nothing."""

_POLL_SECONDS: Final = 0.1


class _RefusedError(Exception):
    """A request that is not taken: the status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = False
    receiver: "Receiver"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that breaks off, for it sends again; tell of everything else."""
        del request
        error = sys.exception()
        if not isinstance(error, OSError):
            self.receiver.source.on_problem(InputError(f"a request from {client_address[0]} failed: {error!r}"))


class _Server6(_Server):
    address_family = socket.AF_INET6


class Receiver:
    """Serves as long as the `with` block lasts; listens from the beginning.

    Parameters
    ----------
    place
        Where to listen.
    settings
        What to take.
    key
        The access key that requests must bear; None for none.
    source
        Takes the blocks.

    Raises
    ------
    streams.errors.InputError
        When it cannot listen there.
    """

    def __init__(self, place: str, settings: "EndpointSettings", key: str | None, source: "EndpointSource") -> None:
        self.settings, self.key, self.source = settings, key, source
        parts = urlsplit(place)
        secure = parts.scheme == "https"
        if secure != (settings.certificate_file is not None):
            raise InputError(f"{place}: https needs certificate_file and key_file, and http takes none")
        host = parts.hostname or "127.0.0.1"
        try:
            self._server = (_Server6 if ":" in host else _Server)(
                (host, (443 if secure else 80) if parts.port is None else parts.port), _Handler
            )
            if settings.certificate_file is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(settings.certificate_file, settings.key_file)
                # The thread of the client shakes hands, so that a slow one holds up nobody.
                self._server.socket = context.wrap_socket(
                    self._server.socket, server_side=True, do_handshake_on_connect=False
                )
        except OSError as error:
            raise InputError(f"{place}: cannot be listened on: {error.strerror or error}") from error
        self._server.receiver = self
        self.path = parts.path or "/"
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{parts.scheme}://{shown}:{self._server.server_port}{self.path}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="http-source", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _SILENT_SECONDS

    def do_POST(self) -> None:
        """Take lines, and answer once Kafka has them."""
        request = self.headers.get(_REQUEST_ID)
        status, why = HTTPStatus.OK, ""
        try:
            self._take(request)
        except _RefusedError as refused:
            status, why = refused.status, str(refused)
            # What is left of the body is not read, so nothing else can follow on this connection.
            self.close_connection = True
        self._answer(status, request, why)

    def do_GET(self) -> None:
        """Say that this is for posts."""
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, None, "post lines here")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - named by the library
        """Say nothing."""
        del format, arguments

    def _take(self, request: str | None) -> None:
        receiver = self.server.receiver
        settings, source = receiver.settings, receiver.source
        if urlsplit(self.path).path != receiver.path:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"lines are taken at {receiver.path}")
        self._require_key(receiver.key)
        body = self._body(settings.most_bytes)
        try:
            body = opened(body, self.headers.get("Content-Encoding", ""), settings.most_bytes)
            name = request or self.headers.get("Idempotency-Key") or uuid.uuid4().hex
            data = [body] if request is None else delivery(body, request)
            blocks = blocks_of(data, source.origin(name), source.headers, source.cut, settings.most_bytes)
        except TooLargeError as error:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
        except InputError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        done = source.take(name, blocks)
        if done is None:
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too much is waiting for Kafka; try again")
        if not done.wait(settings.answer_seconds):
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "Kafka does not have it yet; try again")

    def _require_key(self, key: str | None) -> None:
        if key is None:
            return
        given = self.headers.get(_ACCESS_KEY) or self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "the access key is missing or wrong")

    def _body(self, most: int) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "say in Content-Length how long the body is")
        if int(length) > most:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {most:,} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body is shorter than Content-Length says")
        return body

    def _answer(self, status: HTTPStatus, request: str | None, why: str) -> None:
        said: dict[str, Any] = {} if request is None else {"requestId": request}
        said["timestamp"] = time.time_ns() // 1_000_000
        if why:
            said["errorMessage"] = why
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "5")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
