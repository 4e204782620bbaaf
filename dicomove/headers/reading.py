"""One file: the values of its attributes, and where its images lie in space. Runs in processes of its own, too.

A header comes from a stranger. Whatever is wrong with it becomes a word, and pydicom's warnings, which may contain
values, are not shown.
"""

from __future__ import annotations

import json
import logging
import math
import struct
import sys
import warnings
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader, BytesIO, FileIO
from typing import Final

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from dicomove.headers.keys import Path, Step, tags_of, wanted_tags

#: What a plane consists of: orientation (6), position (3), rows and columns, distance of rows and of columns.
PLANE: Final = 13
NOT_DICOM, UNREADABLE, MISSING = "not_dicom", "unreadable", "missing"

_NAN: Final = float("nan")
_NOWHERE: Final = (_NAN,) * 9
# Exceptions of pydicom for headers that are broken.
_BROKEN: Final = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, InvalidDicomError, LookupError, MemoryError),
    *(NotImplementedError, RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
_ASCII: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_CHARACTERS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LONGEST_BYTES: Final = 64
_HEAD: Final = 32 * 1024
# The beginning of files without a preamble: group 0002 or 0008, little endian.
_BARE: Final = (b"\x02\x00", b"\x08\x00")

_SHARED, _PER_FRAME = keyword_dict["SharedFunctionalGroupsSequence"], keyword_dict["PerFrameFunctionalGroupsSequence"]
_POSITION, _ORIENTATION = keyword_dict["ImagePositionPatient"], keyword_dict["ImageOrientationPatient"]
_ROWS, _COLUMNS, _SPACING = keyword_dict["Rows"], keyword_dict["Columns"], keyword_dict["PixelSpacing"]
_SOP, _NUMBER = keyword_dict["SOPInstanceUID"], keyword_dict["InstanceNumber"]
_GROUPS: Final = {
    _POSITION: keyword_dict["PlanePositionSequence"],
    _ORIENTATION: keyword_dict["PlaneOrientationSequence"],
    _SPACING: keyword_dict["PixelMeasuresSequence"],
}
_BETWEEN, _THICKNESS = keyword_dict["SpacingBetweenSlices"], keyword_dict["SliceThickness"]
_IMAGE_TYPE, _TILES = keyword_dict["ImageType"], 0x0019100A  # of Siemens: how many slices a mosaic has
_OURS: Final = (
    *(_SOP, _NUMBER, _SHARED, _PER_FRAME, _POSITION, _ORIENTATION, _ROWS, _COLUMNS, _SPACING),
    *(_BETWEEN, _THICKNESS, _IMAGE_TYPE, _TILES),
)
_MOST_TILES: Final = 4096
_FILE_META: Final = 0x0002
_MEDIA_CLASS: Final = keyword_dict["MediaStorageSOPClassUID"]


@dataclass(frozen=True, slots=True)
class Header:
    """What is read of one file.

    Attributes
    ----------
    error
        ``None``, or why there is nothing: a word.
    uid
        The SOPInstanceUID.
    number
        The InstanceNumber; ``None`` where it is not a number.
    values
        The value of each key, in their order; ``None`` for none.
    planes
        `PLANE` numbers of 8 bytes for each frame; NaN where there is none.
    """

    error: str | None
    uid: str | None = None
    number: int | None = None
    values: tuple[str | None, ...] = ()
    planes: bytes = b""


class Reader:
    """Reads files.

    Parameters
    ----------
    keys
        The keys, as `tags_of` takes them.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._paths = [tags_of(key) for key in keys]
        self._tags = wanted_tags([*self._paths, *((tag,) for tag in _OURS)])

    def read(self, path: str) -> Header:
        """Return the header of a file; one that cannot be read has an error."""
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (pathlib's objects cost more)
                head = file.read(_HEAD)
                has_preamble = head[128:132] == b"DICM"
                if not has_preamble and head[:2] not in _BARE:
                    return Header(NOT_DICOM)
                return self._header(self._data_set(head, file, force=not has_preamble))
        except FileNotFoundError:
            return Header(MISSING)
        except (OSError, *_BROKEN):
            return Header(UNREADABLE)

    def _data_set(self, head: bytes, file: FileIO, *, force: bool) -> Dataset:
        """Return what is wanted of a file. Most headers are whole in its beginning, which is faster to read."""
        source = BytesIO(head)
        with suppress(OSError, *_BROKEN):  # pydicom's error for an end of the bytes is an OSError
            found = dcmread(source, stop_before_pixels=True, force=force, specific_tags=self._tags)
            # pydicom goes to the end where the beginning does not suffice.
            if source.tell() < len(head) or len(head) < _HEAD:
                return found
        file.seek(0)
        with BufferedReader(file) as whole:
            return dcmread(whole, stop_before_pixels=True, force=force, specific_tags=self._tags)

    def _header(self, found: Dataset) -> Header:
        uid = text_of(found, _SOP)
        if not uid:
            is_directory = text_of(getattr(found, "file_meta", found), _MEDIA_CLASS) == MediaStorageDirectoryStorage
            return Header(NOT_DICOM if is_directory else UNREADABLE)
        values = tuple(joined(values_at(found, path)) for path in self._paths)
        number = text_of(found, _NUMBER)
        whole = int(number) if number and number.lstrip("+-").isdecimal() and len(number) < 13 else None
        return Header(None, uid, whole, values, _planes(found).tobytes())


def values_at(found: Dataset, path: Path) -> Iterator[str]:
    """Return the values at a path: those of every item of the sequences on the way."""
    tag = _tag_of(found, path[0])
    if tag is None:
        return
    if len(path) > 1:
        items = found[tag].value if tag in found else ()
        for item in items if isinstance(items, Sequence) and not isinstance(items, str | bytes) else ():
            if isinstance(item, Dataset):
                yield from values_at(item, path[1:])
        return
    value = text_of(getattr(found, "file_meta", found) if tag >> 16 == _FILE_META else found, tag)
    if value:
        yield value


def _tag_of(found: Dataset, step: Step) -> int | None:
    """Return the tag of a step; of a private one that has a creator, in the block that the data set reserves for it."""
    if isinstance(step, int):
        return step
    pairs = zip(step.creators(), step.tags(), strict=True)
    return next((tag for creator, tag in pairs if creator in found and text_of(found, creator) == step.creator), None)


def joined(values: Iterator[str]) -> str | None:
    r"""Return the value, or the set of different ones in their order, joined by a backslash; ``None`` for none.

    Examples
    --------
    >>> joined(iter(["1.5", "3", "1.5"])), joined(iter([]))
    ('1.5\\3', None)
    """
    return "\\".join(dict.fromkeys(values)) or None


def text_of(found: Dataset, tag: int) -> str | None:
    """Return a value as text; its parts stay joined by a backslash. ``None`` where it is absent or empty."""
    if tag not in found:
        return None
    element = found.get_item(tag)
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        fast = _fast(element, tag)
        if fast is not None:
            return fast or None
    value = found[tag].value
    if value is None or (isinstance(value, Sequence) and not len(value)):
        return None
    if isinstance(value, bytes):
        return _of_bytes(value)
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return (
        "\\".join(number_text(str(part).strip()) if _is_number(part) else str(part).strip() for part in parts) or None
    )


def number_text(value: str) -> str:
    """Return a number in one spelling, so that ``"5.000"`` and ``"5"`` do not count as two values.

    Examples
    --------
    >>> number_text("5.0000"), number_text("-0.75 "), number_text("1e-3"), number_text("five")
    ('5', '-0.75', '0.001', 'five')
    >>> number_text("20261126000000000001")
    '20261126000000000001'
    """
    if value.isdecimal() and len(value) < _LONGEST_BYTES:
        return str(int(value))
    try:
        return repr(float(value)).removesuffix(".0")
    except ValueError:
        return value


def _fast(element: RawDataElement, tag: int) -> str | None:
    """Return a value without pydicom's own conversion, which takes most of the time; ``None`` where it needs that."""
    raw, vr = element.value or b"", element.VR
    if vr is None or vr == "UN":
        vr = _known(tag) or ""
    if vr == "US" and len(raw) == 2:
        return str(int.from_bytes(raw, "little" if element.is_little_endian else "big"))
    if not (vr in _ASCII or vr in _CHARACTERS) or not raw.isascii() or b"\x1b" in raw:
        return None
    text = raw.decode("ascii").strip("\0 ")
    if vr == "DS" or vr == "IS":
        return "\\".join(number_text(part.strip()) for part in text.split("\\"))
    return "\\".join(part.strip() for part in text.split("\\")) if "\\" in text else text


def _known(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (hasattr(value, "original_string") and not isinstance(value, str))


def _of_bytes(value: bytes) -> str:
    text = value.rstrip(b"\0 ")
    if text.isascii() and text.decode("ascii").isprintable():
        return text.decode("ascii").strip()
    return f"0x{value.hex()}" if len(value) <= _LONGEST_BYTES else f"{len(value)} bytes"


def _planes(found: Dataset) -> array[float]:
    """Return where the image lies, or each frame of one; empty for what has no rows and columns."""
    size = [*_numbers(found, _ROWS, 1), *_numbers(found, _COLUMNS, 1)]
    planes = array("d")
    if size[0] != size[0]:
        return planes
    shared = _items(found, _SHARED)[:1]
    frames: Sequence[Dataset] = _items(found, _PER_FRAME)
    for own in [[frame] for frame in frames] or [[]]:
        sources = [*own, *shared]
        planes.extend(_in_groups(found, sources, _ORIENTATION, 6))
        planes.extend(_in_groups(found, sources, _POSITION, 3))
        planes.extend(size)
        planes.extend(_in_groups(found, sources, _SPACING, 2))
    return planes if frames else _of_mosaic(found, planes)


def _of_mosaic(found: Dataset, plane: array[float]) -> array[float]:
    """Return the plane of each slice of a mosaic: Siemens' image that has all slices of a volume beside each other."""
    count, (across, down), corner = _tiles(found), (plane[:3], plane[3:6]), plane[6:9]
    steps = [*_numbers(found, _BETWEEN, 1), *_numbers(found, _THICKNESS, 1)]
    step = next((step for step in steps if math.isfinite(step)), None)
    side = math.isqrt(count - 1) + 1
    if count == 1 or step is None or plane[9] % side or plane[10] % side:
        return plane
    normal = [across[(i + 1) % 3] * down[(i + 2) % 3] - across[(i + 2) % 3] * down[(i + 1) % 3] for i in range(3)]
    planes = array("d")
    for tile in range(count):
        planes.extend(plane[:6])
        planes.extend(corner[i] + tile * step * normal[i] for i in range(3))
        planes.extend([plane[9] / side, plane[10] / side, *plane[11:]])
    return planes


def _tiles(found: Dataset) -> int:
    """Return how many slices an image has beside each other."""
    if _TILES not in found or "MOSAIC" not in (text_of(found, _IMAGE_TYPE) or "").split("\\"):
        return 1
    element = found.get_item(_TILES)
    if isinstance(element, RawDataElement) and element.VR in (None, "UN", "US"):
        number = int.from_bytes(element.value or b"", "little" if element.is_little_endian else "big")
    else:
        number = int(text) if (text := text_of(found, _TILES) or "").isdecimal() else 1
    return number if 1 < number <= _MOST_TILES else 1


def _in_groups(found: Dataset, sources: Sequence[Dataset], tag: int, count: int) -> list[float]:
    """Return numbers from the frame's functional groups, or those of all frames, or the data set itself."""
    for source in sources:
        for item in _items(source, _GROUPS[tag])[:1]:
            if tag in item:
                return _numbers(item, tag, count)
    return _numbers(found, tag, count)


def _items(found: Dataset, tag: int) -> Sequence[Dataset]:
    items = found[tag].value if tag in found else ()
    return items if isinstance(items, Sequence) and not isinstance(items, str | bytes) else ()


def _numbers(found: Dataset, tag: int, count: int) -> list[float]:
    parts = (text_of(found, tag) or "").split("\\")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    return numbers if len(numbers) == count else [_NAN] * count


def read_all(reader: Reader, paths: Sequence[str]) -> list[Header]:
    """Return the headers of files, without pydicom's warnings and messages."""
    before = logging.getLogger("pydicom").level
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [reader.read(path) for path in paths]
    finally:
        logging.getLogger("pydicom").setLevel(before)


def main() -> None:
    """Read the keys, then lists of paths, one JSON text a line; answer each with the headers."""
    reader = Reader(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        found = read_all(reader, json.loads(line))
        told = [[one.error, one.uid, one.number, one.values, one.planes.hex()] for one in found]
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def header_of(told: Sequence[object]) -> Header:
    """Return a header that another process has told."""
    error, uid, number, values, planes = told
    return Header(error, uid, number, tuple(values), bytes.fromhex(planes))  # type: ignore[arg-type]  # from `main`
