"""The rows of a Parquet file, or of a folder of them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from dicomove.cohort.files.stored_cells import Grid
from dicomove.errors import CohortError

SUFFIXES = (".parquet", ".pq")

_UNNAMED_INDEX = re.compile(r"__index_level_[0-9]+__")
_NUMBERS = re.compile(r"([0-9]+)")


def read_parquet(path: Path) -> Grid:
    """Return the rows of a Parquet file, or of all Parquet files of a folder.

    Raises
    ------
    CohortError
        They are not Parquet files, or their columns differ.
    ImportError
        The extra ``parquet`` is not installed.
    """
    # pandas would turn the integers of a column with empty cells into floats.
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        msg = 'Parquet needs one more package: pip install "dicomove[parquet]"'
        raise ImportError(msg) from None
    try:
        table = _read_folder(path) if path.is_dir() else parquet.read_table(io.BytesIO(path.read_bytes()))
        kept = [place for place, name in enumerate(table.column_names) if not _UNNAMED_INDEX.fullmatch(name)]
        columns = [_cells(table.column(place)) for place in kept]
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, NotImplementedError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError, CohortError)):
            raise
        msg = f"the Parquet file cannot be read ({type(error).__name__})"
        raise CohortError(msg) from None
    header: list[object] = [table.column_names[place] for place in kept]
    return Grid(rows=[header, *([*row] for row in zip(*columns, strict=True))] if header else [])


def _cells(column: Any) -> list[object]:
    import pyarrow as pa

    if isinstance(column.type, pa.BaseExtensionType) and hasattr(column.type, "to_pandas_dtype"):
        # For example a Period of pandas, which Parquet stores as a number.
        found: list[object] = column.to_pandas().astype(object).tolist()
        return found
    cells: list[object] = column.to_pylist()
    return cells


def _read_folder(folder: Path) -> Any:
    import pyarrow as pa
    from pyarrow import dataset

    files = _files(folder)
    if not files:
        msg = f"the folder {folder.resolve().name!r} holds no Parquet file (.parquet, .pq)"
        raise CohortError(msg)
    # Partitions are folders (arm=case). Converted to numbers, their values would lose zeros.
    keys = {part.partition("=")[0] for file in files for part in file.relative_to(folder).parts[:-1] if "=" in part}
    partitions = pa.schema([(key, pa.string()) for key in sorted(keys)])
    found = dataset.dataset(
        [str(file) for file in files],
        format="parquet",
        partitioning=dataset.partitioning(partitions, flavor="hive"),
        partition_base_dir=str(folder),
    )
    schemas = [fragment.physical_schema for fragment in found.get_fragments()]
    united = pa.unify_schemas([*schemas, partitions], promote_options="permissive")
    return found.replace_schema(united).to_table()


def _files(folder: Path) -> list[Path]:
    """Return the files, part.2 before part.10, without hidden files."""
    found = [
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda file: [int(p) if p.isdigit() else p for p in _NUMBERS.split(str(file))])
