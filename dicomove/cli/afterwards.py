"""The commands for images that are there: what arrived, names of the user's own, NIfTI."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Final, TextIO

import pandas as pd

from dicomove.cli.commands import table_of
from dicomove.cli.output import brief, write
from dicomove.headers import arrange, convert, index
from dicomove.store import read_journal

_TABLES: Final = (".csv", ".tsv", ".parquet", ".xlsx", ".xlsm", ".xls", ".xlsb")
_SERIES: Final = ("Modality", "SeriesDescription", "instances", "gaps", "duplicates", "is_volume", "path", "error")
_IMAGE: Final = ("Modality", "SeriesDescription", "InstanceNumber", "bytes", "path", "error")
_CONVERTED: Final = ("name", "path", "instances", "outcome", "resumed", "reason")
_MADE: Final = ("converted", "converted_with_warning")
_COMPLETE, _SOME_NOT, _NOTHING = 0, 1, 3
_MOST: Final = 10
#: A folder may have a hundred thousand files.
_ROWS: Final = 200


def list_series(chosen: Namespace) -> int:
    """Print what arrived."""
    table = index(
        _source(chosen),
        keys=chosen.key,
        more_keys=chosen.more_key or (),
        level=chosen.level,
        folder=chosen.folder,
        processes=chosen.processes,
    )
    said = _show(table, chosen, _SERIES if chosen.level == "SERIES" else _IMAGE, feeds=True)
    broken = int(table["error"].notna().sum())
    counts = [f"{len(table) - broken} rows"]
    if "is_volume" in table.columns:
        counts.append(f"{int(table['is_volume'].sum())} volumes")
    counts.append(f"{broken} with files that cannot be read")
    print(f"Found: {', '.join(counts)}.", file=said)
    return _code(len(table) - broken, len(table))


def name_images(chosen: Namespace) -> int:
    """Give images names of the user's own."""
    cohort = None if chosen.table is None else _table(chosen)
    made = arrange(chosen.images, chosen.target, chosen.path, how=chosen.how, cohort=cohort, processes=chosen.processes)
    said = _show(made, chosen, ("path", "arranged", "outcome"))
    print(f"Names: {_counted(made['outcome'])}.", file=said)
    return _code(len(made), len(made))


def make_nifti(chosen: Namespace) -> int:
    """Convert series to NIfTI."""
    options = {} if chosen.path is None else {"path": chosen.path}
    made = convert(
        _source(chosen),
        chosen.out,
        despite="all" if "all" in chosen.despite else chosen.despite,
        folder=chosen.folder,
        timeout=chosen.timeout,
        processes=chosen.processes,
        **options,
    )
    said = _show(made, chosen, _CONVERTED)
    print(f"Series: {_counted(made['outcome'])}.", file=said)
    told = made[made["outcome"] != "converted"]
    counted = Counter(zip(told["outcome"], told["message"], strict=True)).most_common()
    for (outcome, message), count in counted[:_MOST]:
        print(f"  {count} {outcome}: {message}", file=said)
    if len(counted) > _MOST:
        print("  and others: see the column message", file=said)
    return _code(int(made["outcome"].isin(_MADE).sum()), len(made))


def _source(chosen: Namespace) -> Path | pd.DataFrame:
    """Return a folder, a journal, or a table."""
    return _table(chosen) if chosen.table == "-" or chosen.table.lower().endswith(_TABLES) else Path(chosen.table)


def _table(chosen: Namespace) -> pd.DataFrame:
    if chosen.table == "-" or chosen.table.lower().endswith(_TABLES):
        return table_of(chosen)
    return read_journal(chosen.table)


def _show(table: pd.DataFrame, chosen: Namespace, names: tuple[str, ...], *, feeds: bool = False) -> TextIO:
    """Print or write a table; return where the rest is said."""
    if write(table, chosen, feeds=feeds):
        return sys.stdout if chosen.output not in (None, "-") else sys.stderr
    brief(table.head(_ROWS), names)
    if len(table) > _ROWS:
        print(f"... and {len(table) - _ROWS} more rows: -o FILE writes all")
    return sys.stdout


def _counted(outcomes: pd.Series) -> str:
    return ", ".join(f"{count} {word}" for word, count in outcomes.value_counts().items()) or "none"


def _code(good: int, count: int) -> int:
    if not good:
        return _NOTHING
    return _COMPLETE if good == count else _SOME_NOT
