"""A paragraph for the methods section of a paper, from the data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dicomove.report.flow import flow, instances


def methods(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Return the paragraph.

    Parameters
    ----------
    table
        The result table.
    facts
        Of its run, as a journal has them; what is not there is left out.
    """
    return " ".join(part for part in (_how(facts), _when(table, facts), _what(table), _checked(table)) if part)


def _how(facts: Mapping[str, Any]) -> str:
    versions = dict(facts.get("versions", {}))
    by = f"dicomove {versions['dicomove']}" if versions else "dicomove"
    below = ", ".join(f"{name} {versions[name]}" for name in ("pynetdicom", "pydicom", "python") if name in versions)
    stack = f" ({below})" if below else ""
    return (
        "Studies were retrieved from the picture archiving and communication system with DICOM C-MOVE (PS3.4 C.4.2) "
        f"by {by}{stack}."
    )


def _when(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    begun = facts.get("started_at") or table["started_at"].min()
    ended = facts.get("ended_at") or table["finished_at"].max()
    if begun is None or ended is None or pd.isna(begun) or pd.isna(ended):
        return ""
    when = f"on {begun:%Y-%m-%d}" if begun.date() == ended.date() else f"from {begun:%Y-%m-%d} to {ended:%Y-%m-%d}"
    return f"The retrieval took place {when} (UTC)."


def _what(table: pd.DataFrame) -> str:
    first, *others = flow(table)
    last = others[-1]
    lost = [f"{count:,} because {reason}" for step in others for reason, count in step.lost]
    share = f" ({100 * last.rows / first.rows:.1f} %)" if first.rows else ""
    excluded = f"; {first.rows - last.rows:,} were not: {', '.join(lost)}" if lost else ""
    return (
        f"Of {first.rows:,} requested entries, {last.rows:,}{share} were retrieved completely{excluded}. "
        f"In all, {int(instances(table).sum()):,} instances were received."
    )


def _checked(table: pd.DataFrame) -> str:
    if not table["received"].notna().any():
        return "Completeness was judged by the sub-operation counts of the archive and its C-FIND responses."
    return (
        "Completeness was verified against the instances that the archive lists by C-FIND and the files on disk, whose "
        "SHA-256 hashes were recorded."
    )
