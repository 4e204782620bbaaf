"""`convert`: the series of a folder as NIfTI, by dcm2niix."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pydicom.datadict import keyword_dict

from dicomove import columns
from dicomove.files import shown, user_path
from dicomove.headers.folder import process_count
from dicomove.headers.indexing import series_with_files
from dicomove.headers.names import (
    MOST_NAMED,
    Template,
    field_values,
    own_cells,
    own_columns,
    refuse_cells,
    template,
)
from dicomove.headers.nifti.jobs import Job, Programs, Suffix, converted, program
from dicomove.headers.nifti.record import Done
from dicomove.headers.nifti.verdict import REASONS, Reason, Verdict, doubt, is_mosaic, ruled_out
from dicomove.headers.nifti.voxels import Voxels, box_of_planes
from dicomove.headers.planes import PLANE
from dicomove.headers.reading import NOT_DICOM
from dicomove.headers.sources import Source, is_manifest, results_in
from dicomove.store import StoredHeader

CONVERT_COLUMNS: Final = (
    *("StudyInstanceUID", "SeriesInstanceUID", "path", "instances", "outcome", "resumed", "reason"),
    *("exit_code", "message", "name", "files"),
)
"""The columns of the table, in their order; ``cohort_row`` may stand before them."""

_INSIDE: Final = "the folder for the results is inside the folder of the images: give another one"


def convert(
    source: Source,
    out: str | os.PathLike[str],
    path: str = "{StudyInstanceUID}/{SeriesInstanceUID}.nii.gz",
    *,
    despite: Collection[Reason] | Reason | Literal["all"] = (),
    folder: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Convert each series that is a volume to NIfTI, with dcm2niix (``pip install "dicomove[nifti]"``).

    A second call converts only series that are new, have changed, or have failed. A file gets its name when it is
    complete.

    Parameters
    ----------
    source
        A folder; a manifest; the table of `index`, or rows of it; a table that `move` or `retrieve` returned, or the
        path of a journal.
    out
        The folder for the results; not inside the folder of the images.
    path
        The names below `out`: ``"sub-{subject}/anat/sub-{subject}_run-{SeriesNumber}_T1w.nii.gz"``. The braces contain
        columns of `source`, and DICOM keywords or tags. The suffix ``.nii`` writes uncompressed files. If a series has
        several images, dcm2niix extends their names (``_e2``, ``_ph``). It adds a sidecar ``.json``.
    despite
        Reasons that do not prevent a conversion: ``"gaps"``, ``"duplicates"``, ``"tilted"``, ``"not_uniform"``,
        ``"several_orientations"``, ``"single_slice"``, ``"no_positions"``, ``"other_sizes"``; for kinds of images that
        dcm2niix converts wrongly, ``"wrong_in_dcm2niix"``; or ``"all"``.
    folder
        The folder of the files, if the table does not contain it.
    timeout
        The seconds after which dcm2niix is ended, for each series.
    processes
        The number of simultaneous processes; by default the number of processors, at most 8.
    progress
        Whether a bar is shown.

    Returns
    -------
    pandas.DataFrame
        One row per series; with results that have ``cohort_row``, one for each row that asked for it.

        - ``outcome``: ``"converted"``, ``"converted_with_warning"``, ``"no_volume"``, ``"failed"``; and ``resumed``
          if an earlier call converted it;
        - ``reason``: one or several words, joined by a backslash; ``exit_code`` of dcm2niix; ``message`` for a person;
        - ``name`` below `out`, without suffix; ``files``: all files below `out`, joined by a backslash.

        The meaning of the words: docs/tables.md.

    Raises
    ------
    ValueError
        The path or `processes` is invalid; a cell is blank, or becomes the same name as another cell; two series would
        share a name, or other files have it. Nothing was converted.
    ImportError
        dcm2niix is not installed.
    OSError
        `out` cannot be written, or another call converts into it.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from shutil import copy
    >>> from tempfile import mkdtemp
    >>> images = mkdtemp()
    >>> _ = copy(get_testdata_file("CT_small.dcm"), images)
    >>> made = convert(images, mkdtemp(), "{Modality}-{SeriesNumber}.nii.gz", despite=["single_slice"], progress=False)
    >>> made[["outcome", "files"]].iloc[0].tolist()
    ['converted', 'CT-1.json\\CT-1.nii.gz']
    """
    allowed = _allowed(despite)
    process_count(processes)  # before anything is read
    runs = Programs(program(), timeout)
    goal = user_path(out).resolve()
    jobs, table = _prepared(source, goal, path, allowed, folder, processes=processes, progress=progress)
    return _converted(table, jobs, goal, runs, processes, progress=progress)


def _allowed(despite: Collection[Reason] | Reason | Literal["all"]) -> Collection[Reason]:
    if despite == "all":
        return REASONS
    words = {despite} if isinstance(despite, str) else set(despite)
    unknown = sorted(words - set(REASONS))
    if unknown:
        message = f"despite={unknown}: give 'all', or some of {', '.join(REASONS)}"
        raise ValueError(message)
    return [reason for reason in REASONS if reason in words]


def _prepared(
    source: Source,
    out: Path,
    path: str,
    allowed: Collection[Reason],
    folder: str | os.PathLike[str] | None,
    *,
    processes: int | None,
    progress: bool,
) -> tuple[list[Job | Verdict], pd.DataFrame]:
    """Return for each row of the table of series its job, or the reason why there is none."""
    if not isinstance(source, pd.DataFrame) and user_path(source).is_file():
        source = results_in(user_path(source))
    given = source if isinstance(source, pd.DataFrame) and not is_manifest(source) else None
    suffix: Suffix = ".nii" if path.endswith(".nii") else ".nii.gz"
    made = template(path.removesuffix(suffix), [] if given is None else own_columns(given))
    # The rows by position, because labels may be repeated.
    asked = source if given is None else given.assign(cohort_row=range(len(given)))
    keys = list(dict.fromkeys([*made.keys, "ImageType", "SOPClassUID", "NumberOfFrames"]))
    table, files = series_with_files(asked, keys, folder, processes=processes, progress=progress)
    if out.is_relative_to(Path(table.attrs["folder"]).resolve()):
        raise ValueError(_INSIDE)
    is_series = (table["SeriesInstanceUID"].notna() | (table["error"] != NOT_DICOM)).to_numpy(dtype=bool)
    files = [headers for headers, keep in zip(files, is_series, strict=True) if keep]
    table = table.loc[is_series].reset_index(drop=True)
    records = [row | {"copies": _copies(one)} for row, one in zip(_without_nulls(table), files, strict=True)]
    verdicts = [ruled_out(row, allowed) for row in records]
    places = [place for place, verdict in enumerate(verdicts) if verdict is None]
    names = dict(zip(places, _names([records[place] for place in places], made, given), strict=True))
    root = Path(table.attrs["folder"])
    jobs = [
        verdict or Job(names[place], suffix, _uids(row), root, headers, _expected(row, headers), doubt(row))
        for place, (verdict, row, headers) in enumerate(zip(verdicts, records, files, strict=True))
    ]
    _refuse_shared(job for job in jobs if isinstance(job, Job))
    return jobs, _labelled(table, given)


def _copies(headers: Sequence[StoredHeader]) -> int:
    return len(headers) - len({one.uid for one in headers})


def _uids(row: dict[Any, Any]) -> tuple[str, str]:
    return str(row["StudyInstanceUID"]), str(row["SeriesInstanceUID"])


def _expected(row: dict[Any, Any], headers: Sequence[StoredHeader]) -> Voxels:
    """Return the voxels of a series, as far as its headers have them."""
    if is_mosaic(row) and not row["is_volume"]:
        return Voxels(0)
    planes = np.frombuffer(b"".join(one.planes for one in headers)).reshape(-1, PLANE)
    pixels = np.nan_to_num(planes[:, 9] * planes[:, 10])
    # Frames without positions count as one plane.
    frames = str(row["NumberOfFrames"] or "")
    count = int(pixels.sum()) * (int(frames) if len(planes) == len(headers) and frames.isdecimal() else 1)
    sizes = (*planes[0, 11:13], row["spacing"]) if row["is_volume"] else ()
    if not np.isfinite(sizes).all():
        return Voxels(count)
    # The place of a mosaic is that of its corner, and not of its first slice.
    box = box_of_planes(planes) if row["is_volume"] and not is_mosaic(row) else None
    return Voxels(count, tuple(float(size) for size in sizes), box)


def _names(rows: Sequence[dict[Any, Any]], made: Template, given: pd.DataFrame | None) -> list[str]:
    if given is None:
        return [made.path(field_values(row, [])) for row in rows]
    # In the table of `index`, an attribute may be absent; a column of the caller's own has to have values.
    is_index = {"path", "error"} <= set(given.columns)
    own = [name for name in made.columns if not (is_index and name in keyword_dict)]
    cells = own_cells(given, made)
    refuse_cells(made, cells, sorted({int(row["cohort_row"]) for row in rows}), own)
    return [made.path(field_values(row, cells)) for row in rows]


def _labelled(table: pd.DataFrame, given: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table with the caller's own ``cohort_row``, or without one."""
    if given is None or "cohort_row" not in table.columns:
        return table
    places = table.pop("cohort_row").tolist()
    if "cohort_row" in given.columns:
        table.insert(0, "cohort_row", given["cohort_row"].iloc[places].array)
    return table


def _refuse_shared(jobs: Iterable[Job]) -> None:
    # Names are compared without case, as some file systems do; series by files, because two studies may have one UID.
    names: dict[str, dict[str, str]] = {}
    for job in jobs:
        names.setdefault(job.name.casefold(), {})[job.source] = shown(job.headers[0].path)
    shared = [path for paths in names.values() if len(paths) > 1 for path in paths.values()]
    if shared:
        message = (
            f"{len(shared)} series would share their name with another one, for example "
            f"{', '.join(shared[:MOST_NAMED])}: nothing was converted; add {{SeriesInstanceUID}}, {{SeriesNumber}} "
            "or {StudyInstanceUID} to the path"
        )
        raise ValueError(message)


def _converted(
    table: pd.DataFrame,
    jobs: Sequence[Job | Verdict],
    out: Path,
    runs: Programs,
    processes: int | None,
    *,
    progress: bool,
) -> pd.DataFrame:
    wanted = {job.name: job for job in jobs if isinstance(job, Job)}
    found: dict[str, tuple[Done, bool]] = {}
    if wanted:
        found = converted(list(wanted.values()), out, runs, process_count(processes), progress=progress)
    return _table(table, jobs, found)


def _table(table: pd.DataFrame, jobs: Sequence[Job | Verdict], found: Mapping[str, tuple[Done, bool]]) -> pd.DataFrame:
    answers = [found[job.name] if isinstance(job, Job) else (Done("", "", "", job), False) for job in jobs]
    done = [one for one, _ in answers]
    made = table.assign(
        outcome=columns.text(one.verdict.outcome for one in done),
        resumed=columns.flags(resumed for _, resumed in answers),
        reason=columns.text(one.verdict.reason for one in done),
        exit_code=columns.counts(one.verdict.exit_code for one in done),
        message=columns.text(one.verdict.message for one in done),
        name=columns.text(one.name or None for one in done),
        files=columns.text("\\".join(one.files) or None for one in done),
    )
    first = [name for name in ("cohort_row",) if name in made.columns]
    made = made[[*first, *CONVERT_COLUMNS]].drop_duplicates(ignore_index=True)
    made.attrs = {"folder": table.attrs["folder"]}
    return made


def _without_nulls(table: pd.DataFrame) -> list[dict[Any, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [dict(row) for row in rows]
