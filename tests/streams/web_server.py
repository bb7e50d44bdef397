"""A web server that takes what is posted and answers as it is told."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from aiohttp import web


class Answer(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Posted(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes


class WebServer:
    """What was posted, and the answers to come; the last one is for all that follow."""

    def __init__(self, scheme: str, host: str) -> None:
        self._origin = f"{scheme}://{host}"
        self.url = ""
        self.posted: list[Posted] = []
        self.answers = [Answer()]

    def listens(self, port: int) -> None:
        self.url = f"{self._origin}:{port}"

    async def answer(self, request: web.Request) -> web.Response:
        self.posted.append(Posted(request.path, request.headers, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


@asynccontextmanager
async def web_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """Serve on a free port of loopback."""
    server = WebServer("http" if tls is None else "https", "127.0.0.1")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.listens(runner.addresses[0][1])
    try:
        yield server
    finally:
        await runner.cleanup()


class _Taker(BaseHTTPRequestHandler):
    """Takes what is posted, and says that it is well."""

    server: "ThreadedWebServer"

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        del arguments


class ThreadedWebServer(ThreadingHTTPServer):
    """For tests that have no event loop yet."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: list[bytes] = []


@contextmanager
def serving(server: ThreadedWebServer) -> Iterator[ThreadedWebServer]:
    """Serve in a thread, on a free port of loopback."""
    with server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
