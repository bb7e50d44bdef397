"""A file that is only added to, and that begins anew when it has become large or was moved away."""

import os
from contextlib import suppress
from pathlib import Path


class RotatedFile:
    """Adds whole blocks of bytes to a file.

    Before a block that would make it larger than it may be, the file is renamed to `NAME.1`, which was renamed to
    `NAME.2` before, and so on; what is behind the last one that is kept is deleted. A file that something else, such as
    logrotate, moved away or deleted is made anew.

    Parameters
    ----------
    path
        The file; its folder is made where there is none.
    rotate_bytes
        How large it may become, but for a block that is larger by itself; None for any size.
    kept
        How many files are kept beside it.
    sync
        Whether a block must be on the disk, and not only with the operating system, before `add` returns.

    Raises
    ------
    OSError
        When the file cannot be written.
    """

    def __init__(self, path: Path, *, rotate_bytes: int | None = None, kept: int = 5, sync: bool = False) -> None:
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._kept = kept
        self._sync = sync
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def add(self, block: bytes) -> None:
        """Add a block, as a whole or not at all.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        if self._file.closed or self._moved():
            self._file.close()
            self._open()
        if self._rotate_bytes is not None and self._size > 0 and self._size + len(block) > self._rotate_bytes:
            self._rotate()
        try:
            self._write(block)
        except OSError:
            # Half a line would spoil the next one. What is no file, such as a pipe, cannot be shortened.
            with suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(block)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def _moved(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._file.fileno())
        # Whoever copies and truncates leaves the file in its place, shorter.
        self._size = ours.st_size
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _rotate(self) -> None:
        self._file.close()
        self._numbered(self._kept).unlink(missing_ok=True)
        for number in range(self._kept - 1, -1, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).rename(self._numbered(number + 1))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]
        if self._sync:
            os.fsync(self._file.fileno())
