"""What a Kafka broker runs on: Java, and jars that Maven fetches once."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

_POM: Final = Path(__file__).with_name("pom.xml")
_TARGET: Final = _POM.parent / "target"


class BrokerError(RuntimeError):
    """The broker, or what it is made of, could not be had; the text holds the end of its log."""


def missing_programs() -> list[str]:
    """Name what has to be installed before a broker can run; empty when nothing is missing."""
    needed = ["java"] if _libraries_are_complete() else ["java", "mvn"]
    return [name for name in needed if shutil.which(name) is None]


def libraries() -> Path:
    """Return the folder of the broker's jars, fetched by Maven the first time; safe in many processes at once.

    Raises
    ------
    BrokerError
        When Maven fails.
    """
    folder = _TARGET / "libs"
    _TARGET.mkdir(exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _libraries_are_complete():
            shutil.rmtree(folder, ignore_errors=True)
            command = [
                "mvn",
                "-q",
                "-B",
                "-f",
                str(_POM),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={folder}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BrokerError(f"Maven cannot fetch the broker:\n{(done.stdout + done.stderr)[-4000:]}")
            _stamp().write_text(_version())
    return folder


def _version() -> str:
    return hashlib.sha256(_POM.read_bytes()).hexdigest()


def _stamp() -> Path:
    return _TARGET / "libs" / "complete"


def _libraries_are_complete() -> bool:
    return _stamp().is_file() and _stamp().read_text() == _version()
