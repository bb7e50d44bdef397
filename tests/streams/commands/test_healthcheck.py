import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.commands.healthcheck import command
from streams.errors import FlowhawkError, ServiceError, SettingsError


@contextmanager
def service(status: int, body: bytes = b"") -> Iterator[int]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/-/ready" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests free of it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def check(port: int, host: str = "127.0.0.1", arguments: tuple[str, ...] = ()) -> Result:
    environment = {"FLOWHAWK__HTTP__HOST": host, "FLOWHAWK__HTTP__PORT": str(port)}
    return CliRunner().invoke(command, list(arguments), env=environment)


def error_of(result: Result) -> FlowhawkError:
    assert isinstance(result.exception, FlowhawkError), result.output
    return result.exception


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - nothing is bound
def test_a_ready_service_is_healthy_whatever_address_it_listens_on(host: str) -> None:
    with service(200) as port:
        result = check(port, host)
    assert (result.exit_code, result.output) == (0, "ready\n")


def test_the_port_comes_from_the_settings_file(tmp_path: Path) -> None:
    with service(200) as port:
        config = tmp_path / "flowhawk.yaml"
        config.write_text(json.dumps({"http": {"port": port}}))
        result = CliRunner().invoke(command, ["--config", str(config)])
    assert result.exit_code == 0


def test_a_service_that_is_not_ready_fails_with_its_reason() -> None:
    with service(503, b"restoring\nstate\n") as port:
        error = error_of(check(port))
    assert isinstance(error, ServiceError)
    assert error.exit_code == 1
    assert str(error) == f"not ready: http://127.0.0.1:{port}/-/ready answered 503: restoring state"


def test_a_service_that_does_not_run_fails_and_says_where_it_was_looked_for() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        error = error_of(check(port))
    assert isinstance(error, ServiceError)
    assert f"no answer from http://127.0.0.1:{port}/-/ready" in str(error)


def test_a_service_that_hangs_fails_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = error_of(check(silent.getsockname()[1], arguments=("--timeout", "0.05")))
    assert "timed out" in str(error)


def test_something_that_speaks_no_http_fails_without_a_traceback() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()

        def answer() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-something\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = error_of(check(stranger.getsockname()[1]))
        thread.join()
    assert isinstance(error, ServiceError)


def test_a_port_that_nobody_knows_is_a_mistake_in_the_settings() -> None:
    assert isinstance(error_of(check(0)), SettingsError)
