"""Metrics and health over HTTP, from a thread of their own: a busy pipeline delays no probe."""

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from streams.errors import ServiceError
from streams.http_settings import HttpSettings
from streams.registry import Registry
from streams.reload import Reloaded

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


_UNAVAILABLE: Final = "503 Service Unavailable"
_NOT_ALLOWED: Final = "405 Method Not Allowed"

_POLL_SECONDS: Final = 0.1
"""How long closing may take to be noticed."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # A second service on the same port must fail to start, not share it.
    allow_reuse_port = False


class _Server6(_Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        del arguments


class HttpEndpoints:
    """Serves `/metrics`, `/-/healthy`, `/-/ready` and `POST /-/reload` as long as the `with` block lasts.

    Parameters
    ----------
    settings
        Where to listen.
    metrics
        What to show.
    not_ready
        Returns the reasons why the service is not ready; none when it is.
    section
        Where the settings stand, for people to change them.
    """

    def __init__(
        self, settings: HttpSettings, metrics: Registry, not_ready: Callable[[], list[str]], section: str = "http"
    ) -> None:
        self._not_ready = not_ready
        self.reload: Callable[[], Reloaded] | None = None
        """Reads the settings again, asked from a thread of its own; None while, or where, that cannot be done."""
        self._metrics = make_wsgi_app(metrics.registry)
        try:
            self._server = make_server(
                settings.host,
                settings.port,
                self._answer,
                server_class=_Server6 if ":" in settings.host else _Server,
                handler_class=_QuietHandler,
            )
        except OSError as error:
            raise ServiceError(
                f"{settings.host}:{settings.port} cannot be listened on for /metrics: {error.strerror}; "
                f"set {section}.port (FLOWHAWK__{section.upper().replace('.', '__')}__PORT) to another port, "
                "or to 0 for any free one"
            ) from error
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environment: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "/")
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(environment, start_response)
            return page
        status, text = self._said(path, environment["REQUEST_METHOD"])
        allowed = [("Allow", "POST")] if status == _NOT_ALLOWED else []
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *allowed])
        return [f"{text}\n".encode()]

    def _said(self, path: str, method: str) -> tuple[str, str]:
        if path == "/-/reload":
            return self._reloaded() if method == "POST" else (_NOT_ALLOWED, "settings are read again on POST")
        if path == "/-/healthy":
            return "200 OK", "healthy"
        if path == "/-/ready":
            reasons = self._not_ready()
            return (_UNAVAILABLE, "\n".join(reasons)) if reasons else ("200 OK", "ready")
        return "404 Not Found", "there are /metrics, /-/healthy, /-/ready and POST /-/reload"

    def _reloaded(self) -> tuple[str, str]:
        if self.reload is None:
            return _UNAVAILABLE, "settings cannot be read again now"
        try:
            reloaded = self.reload()
        except ServiceError as error:
            return _UNAVAILABLE, str(error)
        return "200 OK" if reloaded.successful else "400 Bad Request", reloaded.message
