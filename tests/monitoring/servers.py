"""Real servers on loopback, each with a free port and a folder of its own."""

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.streams.programs import free_port

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


def ask(url: str, *, data: bytes | None = None) -> Any:
    """Ask a server on loopback and read its answer, which is JSON."""
    request = Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310 - http, on loopback
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        text = answer.read()
    return json.loads(text) if text else None


class Server:
    """A program that listens; `start` goes on with the same data on the same port."""

    program = ""
    ready = "/-/ready"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.url}{self.ready}", timeout=5) as answer:  # noqa: S310 - http, on loopback
                return bool(answer.status == 200)
        except HTTPError as error:
            return error.code == 401
        except (URLError, OSError):
            return False

    def start(self) -> Self:
        program = shutil.which(self.program)
        if program is None:
            reason = f"{self.program} is not installed; on Debian: apt-get install {self.program}"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, *self.arguments()], stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            log_end = (self.folder / "log").read_text(errors="replace")[-3000:]
            assert self._process.poll() is None, f"{self.program} ended:\n{log_end}"
            assert time.monotonic() < deadline, f"{self.program} does not answer:\n{log_end}"
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class AlertmanagerServer(Server):
    """Debian's Alertmanager, alone and with no cluster.

    Parameters
    ----------
    folder
        Where it keeps its data.
    configuration
        Its configuration; by default one that tells nobody.
    web
        Its `web.config.file`, for logins and TLS.
    """

    program = "prometheus-alertmanager"

    def __init__(
        self, folder: Path, configuration: Mapping[str, Any] | None = None, web: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(folder)
        self._web = web
        nobody = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(configuration or nobody)))
        if web is not None:
            (folder / "web.yml").write_text(yaml.safe_dump(dict(web)))

    def arguments(self) -> list[str]:
        web = ["--web.config.file=web.yml"] if self._web is not None else []
        return [
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            *web,
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are open."""
        found: list[dict[str, Any]] = ask(f"{self.url}/api/v2/alerts")
        return found


class PrometheusServer(Server):
    """Debian's Prometheus, with a folder of configuration."""

    program = "prometheus"

    def __init__(self, folder: Path, configuration: Path) -> None:
        super().__init__(folder)
        self._configuration = configuration

    def arguments(self) -> list[str]:
        return [
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def asked(self, path: str) -> Any:
        """Ask its API."""
        return ask(f"{self.url}/api/v1/{path}")["data"]


class Received:
    """Somebody who listens for HTTP requests and writes down what comes, with the time.

    Attributes
    ----------
    status
        What to answer.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[float, Mapping[str, str], Any]] = []
        self.status = 200
        self.pause = threading.Event()
        self.pause.set()
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.pause.wait()
                received.requests.append((time.time(), dict(self.headers.items()), json.loads(body)))
                self.send_response(received.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                del arguments

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def every(pause: float, *, seconds: float) -> Iterator[None]:
    """Come round again and again for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)


def until(holds: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Wait until something holds, and return it; fail when it does not in time."""
    for _ in every(0.05, seconds=seconds):
        if found := holds():
            return found
    found = holds()
    assert found, f"did not come true within {seconds} s: {holds}"
    return found
