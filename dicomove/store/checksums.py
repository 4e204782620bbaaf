"""The hashes of a folder's files in the form of BagIt (RFC 8493), which `sha256sum -c` checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError
from dicomove.files import replacing

#: Its name in the folder of the files.
CHECKSUMS_FILE: Final = "manifest-sha256.txt"

_LINE: Final = re.compile(r"\\?([0-9a-fA-F]{64})[ ][ *](.+)")
_BACK: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def write_checksums(path: Path, hashes: Iterable[tuple[str, str]]) -> None:
    """Write hashes, each with the path of its file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n", errors="surrogateescape") as file:
        file.writelines(f"{_line(name, sha256)}\n" for name, sha256 in hashes)


def read_checksums(path: Path) -> list[tuple[str, str]]:
    """Return the path and the hash of each file.

    Raises
    ------
    ReceiverError
        A line has another form.
    """
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    return [_read(line.removesuffix("\r"), number, path) for number, line in enumerate(lines, start=1) if line.strip()]


def _line(name: str, sha256: str) -> str:
    """Return a line as `sha256sum` writes it: a backslash comes first where the name has one, or a line's end."""
    safe = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if safe == name else chr(92)}{sha256}  {safe}"


def _read(line: str, number: int, path: Path) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None:
        message = f"line {number} of {path} is not a SHA-256 and a path: write the file again"
        raise ReceiverError(message)
    sha256, name = found.groups()
    if line.startswith("\\"):
        name = re.sub(r"\\[\\nr]", lambda escaped: _BACK[escaped.group()], name)
    return name.removeprefix("./"), sha256.lower()
