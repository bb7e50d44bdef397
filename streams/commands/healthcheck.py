"""`flowhawk healthcheck`: says whether the service on this machine is ready."""

from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import click

from streams.errors import ServiceError, SettingsError

READY: Final = "/-/ready"
# The service listens on all addresses there; it is asked on loopback.
LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing is bound here


def ask(host: str, port: int, timeout: float) -> None:
    """Ask a service whether it is ready; return when it is.

    Parameters
    ----------
    host, port
        Where it listens.
    timeout
        How long to wait for the answer, in seconds.

    Raises
    ------
    streams.errors.ServiceError
        When it is not ready, or does not answer.
    """
    where = f"http://[{host}]:{port}{READY}" if ":" in host else f"http://{host}:{port}{READY}"
    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", READY)
        response = connection.getresponse()
        status, body = response.status, response.read(500)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ServiceError(f"no answer from {where}: {reason}; is `flowhawk run` up, with this http.port?") from error
    finally:
        connection.close()
    if status != 200:
        reason = " ".join(body.decode("utf-8", "replace").split()) or "no reason given"
        raise ServiceError(f"not ready: {where} answered {status}: {reason}")


@click.command("healthcheck")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings of the service that is asked.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="How long to wait for the answer, in seconds.",
)
def command(config: Path | None, timeout: float) -> None:
    """Say whether the service is ready.

    Exit status 0 when it is, 1 when it is not, or does not answer.
    """
    from streams.settings import load

    http = load(config).http
    if http.port == 0:
        raise SettingsError("http.port is 0, so nobody knows which port to ask; set a port")
    ask(LOOPBACK.get(http.host, http.host), http.port, timeout)
    click.echo("ready")
