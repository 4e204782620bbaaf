"""`index`: a table of headers, one row per series or instance."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Literal

import numpy as np
import pandas as pd

from dicomove import columns
from dicomove.files import shown
from dicomove.headers.attributes import tags_of
from dicomove.headers.folder import headers_of, process_count
from dicomove.headers.geometry import FromHeaders, Geometry, geometry
from dicomove.headers.planes import PLANE
from dicomove.headers.sources import Source, Wanted, recorded_uids, wanted
from dicomove.store import StoredHeader

Level = Literal["SERIES", "IMAGE", "INSTANCE"]

SERIES_KEYS: Final = (
    *("StudyDate", "Modality", "SeriesNumber", "SeriesDescription", "ProtocolName", "BodyPartExamined"),
    *("SliceThickness", "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "ImageType"),
    *("ConvolutionKernel", "ContrastBolusAgent", "MagneticFieldStrength"),
    *("Manufacturer", "ManufacturerModelName", "SOPClassUID"),
)
"""The usual keys, without ``keys=``: people select series by these."""

#: Attributes that distinguish images at the same position, beside InstanceNumber.
_STATES: Final = (
    *("AcquisitionNumber", "TemporalPositionIdentifier", "FrameReferenceTime", "TriggerTime", "EchoNumbers"),
    *("EchoTime", "InversionTime", "FlipAngle", "DiffusionBValue", "ImageType"),
)
#: Attributes with the distance from slice to slice; the first one that is there counts.
_STEPS: Final = ("SpacingBetweenSlices", "SliceThickness")

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID")
_INSTANCE: Final = ("SOPInstanceUID", "InstanceNumber")
_PLANE_BYTES: Final = 8 * PLANE
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_FLAGS: Final = ("spacing_uniform", "tilted", "is_volume")


def index(
    source: Source,
    *,
    keys: Sequence[str] | None = None,
    more_keys: Sequence[str] = (),
    level: Level = "SERIES",
    folder: str | os.PathLike[str] | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Return a table of the headers of received images, and for each series whether its images are a volume.

    The headers are read once, and stored in the folder (``.dicomove/headers.sqlite``). Later calls read only files that
    are new, have changed, or could not be read before. A new key makes them read all files once more.

    Parameters
    ----------
    source
        A folder, of a `Receiver` or any other; a manifest; or a table that `move` or `retrieve` returned, or the path
        of a journal, for only the files that its rows asked for.
    keys
        The attributes, in place of the usual ones: keywords, tags as ``"(0019,100c)"``, private ones by their creator
        as ``"(0019,{SIEMENS MR HEADER}0c)"``, or paths through sequences as
        ``"SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness"``.
    more_keys
        Attributes in addition to the usual ones.
    level
        ``"SERIES"``: one row per series. ``"IMAGE"`` or ``"INSTANCE"``: one row per file.
    folder
        The folder of the files, if the table does not contain it.
    processes
        The number of reading processes; by default the number of processors, at most 8.
    progress
        Whether a bar is shown.

    Returns
    -------
    pandas.DataFrame
        One row per series, by path. ``cohort_row`` comes first if the results have it; a series that several rows of
        the cohort asked for has one row for each of them.

        - the UIDs, and a column of text for each key. Numbers have one spelling (``"5.000"`` is ``"5"``).
          A series with different values has all of them, joined by a backslash, and ``varies`` names such keys;
        - ``instances``, ``bytes``, and ``path``: the folder of the files, or the only file, below the folder;
          ``"."`` for the folder itself;
        - ``orientations``, ``gaps``, ``duplicates``, ``spacing``, ``spacing_uniform``, ``tilted``, ``volumes``,
          ``lowest_instance_number``, ``instance_numbers_missing``, ``is_volume``: see the page "The morning after";
        - ``error``: null, or why a file could not be read: ``"not_dicom"``, ``"unreadable"``, ``"missing"``.

    Raises
    ------
    ValueError
        A key that does not exist, an unknown level, no folder, or a number of processes below 1.

    Warns
    -----
    DicomoveWarning
        The headers cannot be stored.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from shutil import copy
    >>> from tempfile import mkdtemp
    >>> images = mkdtemp()
    >>> for name in ("CT_small.dcm", "MR_small.dcm"):
    ...     _ = copy(get_testdata_file(name), images)
    >>> index(images)[["Modality", "SliceThickness", "Rows", "instances", "is_volume"]]
      Modality SliceThickness Rows  instances  is_volume
    0       CT              5  128          1      False
    1       MR            0.8   64          1      False
    """
    if level not in ("SERIES", "IMAGE", "INSTANCE"):
        message = f"level={level!r}: give 'SERIES', or 'INSTANCE' (or 'IMAGE', as C-FIND names it)"
        raise ValueError(message)
    for name, given in {"keys": keys, "more_keys": more_keys}.items():
        if isinstance(given, str):
            message = f"{name}={given!r}: give a list of keys, [{given!r}]"
            raise ValueError(message)  # noqa: TRY004 - every argument that cannot be right is a ValueError
    process_count(processes)  # before anything is read
    chosen = [key for key in dict.fromkeys([*(SERIES_KEYS if keys is None else keys), *more_keys]) if key not in _UIDS]
    for key in chosen:
        tags_of(key)
    found, groups = _grouped(
        source, chosen, folder, by_series=level == "SERIES", processes=processes, progress=progress
    )
    table = _series_table(groups, chosen) if level == "SERIES" else _instance_table(groups, chosen)
    return _finished(table, found, groups)[0]


def series_with_files(
    source: Source,
    keys: Sequence[str],
    folder: str | os.PathLike[str] | None,
    *,
    processes: int | None,
    progress: bool,
) -> tuple[pd.DataFrame, list[list[StoredHeader]]]:
    """Return the table of `index`, and for each of its rows the headers of the files."""
    chosen = [key for key in keys if key not in _UIDS]
    found, groups = _grouped(source, chosen, folder, by_series=True, processes=processes, progress=progress)
    table, places = _finished(_series_table(groups, chosen), found, groups)
    return table, [groups[place].headers for place in places]


@dataclass(slots=True)
class _Group:
    """The files of one row: a series, or a single file."""

    study: str | None
    series: str | None
    headers: list[StoredHeader] = field(default_factory=list)
    cells: list[dict[str, str | None]] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)


def _grouped(
    source: Source,
    keys: Sequence[str],
    folder: str | os.PathLike[str] | None,
    *,
    by_series: bool,
    processes: int | None,
    progress: bool,
) -> tuple[Wanted, list[_Group]]:
    """Return the source, and its files by the rows of the table."""
    found = wanted(source, folder)
    own = (*_STATES, *_STEPS) if by_series else ()
    read = [*_UIDS, *dict.fromkeys(key for key in (*keys, *own) if key not in _INSTANCE)]
    headers = headers_of(found.root, found.files, read, processes=processes, progress=progress)
    return found, list(_groups(found, headers, read, by_series=by_series))


def _groups(
    found: Wanted, headers: dict[str, StoredHeader], read: Sequence[str], *, by_series: bool
) -> Iterator[_Group]:
    recorded = recorded_uids(found.root) if any(one.error for one in headers.values()) else {}
    groups: dict[object, _Group] = {}
    # Images of a series with the same values share the object.
    cells: dict[int, dict[str, str | None]] = {}
    for path in found.files:
        header = headers[path]
        made = cells.get(id(header.values))
        if made is None:
            made = cells[id(header.values)] = dict(zip(read, header.values, strict=True))
        study, series, uid = made["StudyInstanceUID"], made["SeriesInstanceUID"], header.uid
        if header.error:
            study, series, uid = recorded.get(path, (None, None, None))
        rows: list[int] = []
        if found.results is not None:
            rows = found.asked.of({"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": uid})
            if not rows:
                continue
        key: object = (study, series) if by_series and series else path
        group = groups.setdefault(key, _Group(study, series))
        group.headers.append(header)
        group.cells.append(made)
        group.rows.update(rows)
    yield from groups.values()


def _series_table(groups: Sequence[_Group], keys: Sequence[str]) -> pd.DataFrame:
    values = [_values(group, keys) for group in groups]
    table = pd.DataFrame(
        {
            "StudyInstanceUID": columns.text(group.study for group in groups),
            "SeriesInstanceUID": columns.text(group.series for group in groups),
        }
        | {key: columns.text("\\".join(of[place]) for of in values) for place, key in enumerate(keys)}
        | {
            "instances": columns.counts(len(group.headers) for group in groups),
            "bytes": columns.counts(sum(one.size for one in group.headers) for group in groups),
        }
    )
    found = [_geometry(group) for group in groups]
    for name in (one.name for one in fields(Geometry)):
        table[name] = _measured(name, [getattr(one, name) for one in found])
    table["varies"] = columns.text(
        ", ".join(key for key, parts in zip(keys, of, strict=True) if len(parts) > 1) for of in values
    )
    table["path"] = columns.text(_place([shown(one.path) for one in group.headers]) for group in groups)
    errors = (dict.fromkeys(one.error for one in group.headers if one.error) for group in groups)
    table["error"] = columns.text("\\".join(words) for words in errors)
    return table


def _instance_table(groups: Sequence[_Group], keys: Sequence[str]) -> pd.DataFrame:
    files = [group.headers[0] for group in groups]
    named = [*_INSTANCE, *(key for key in keys if key not in _INSTANCE)]
    values = [_values(group, named) for group in groups]
    return pd.DataFrame(
        {
            "StudyInstanceUID": columns.text(group.study for group in groups),
            "SeriesInstanceUID": columns.text(group.series for group in groups),
        }
        | {key: columns.text("\\".join(of[place]) for of in values) for place, key in enumerate(named)}
        | {
            "bytes": columns.counts(one.size for one in files),
            "path": columns.text(shown(one.path) for one in files),
            "error": columns.text(one.error for one in files),
        }
    )


def _finished(table: pd.DataFrame, found: Wanted, groups: Sequence[_Group]) -> tuple[pd.DataFrame, list[int]]:
    """Return the table with ``cohort_row``, and the group of each row."""
    places = list(range(len(groups)))
    if found.results is not None and "cohort_row" in found.results.columns:
        asked = found.results["cohort_row"]
        labels = list(asked.tolist())
        pairs = [(place, row) for place, group in enumerate(groups) for row in _one_each(group.rows, labels)]
        places = [place for place, _ in pairs]
        table = table.iloc[places].reset_index(drop=True)
        table.insert(0, "cohort_row", asked.iloc[[row for _, row in pairs]].array)
    table.attrs["folder"] = str(found.root)
    return table, places


def _one_each(rows: set[int], labels: Sequence[Hashable]) -> list[int]:
    return list({labels[row]: row for row in sorted(rows, reverse=True)}.values())[::-1]


def _values(group: _Group, keys: Sequence[str]) -> list[list[str]]:
    """Return the different values of each key."""
    alike = list({id(cells): cells for cells in group.cells}.values())
    own = {
        "SOPInstanceUID": (one.uid for one in group.headers),
        "InstanceNumber": (None if one.number is None else str(one.number) for one in group.headers),
    }
    found = (own[key] if key in own else (cells.get(key) for cells in alike) for key in keys)
    return [list(dict.fromkeys(value for value in values if value)) for values in found]


def _geometry(group: _Group) -> Geometry:
    whole = [(one, cells) for one, cells in zip(group.headers, group.cells, strict=True) if not one.error]
    alike = {id(cells): cells for _, cells in whole}
    states = {place: tuple(cells[key] for key in _STATES) for place, cells in alike.items()}
    further = FromHeaders(
        [len(one.planes) // _PLANE_BYTES for one, _ in whole],
        [states[id(cells)] for _, cells in whole],
        _step(alike.values()),
    )
    planes = np.frombuffer(b"".join(one.planes for one, _ in whole))
    return geometry(planes, [one.number for one, _ in whole], further)


def _step(cells: Iterable[Mapping[str, str | None]]) -> float | None:
    """Return the distance from slice to slice, if all images have the same one."""
    for key in _STEPS:
        values = {one[key] for one in cells} - {None}
        if values:
            value = values.pop() if len(values) == 1 else None
            return float(value) if value and _DECIMAL.fullmatch(value) else None
    return None


def _measured(name: str, found: Sequence[object]) -> pd.Series:
    if name == "spacing":
        return pd.Series(found, dtype="float64")
    if name == "is_volume":
        return pd.Series(found, dtype="bool")
    return pd.Series(list(found), dtype="boolean" if name in _FLAGS else "Int64")


def _place(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    folders = {path.rpartition("/")[0] for path in paths}
    return (folders.pop() if len(folders) == 1 else os.path.commonpath(list(folders))) or "."
