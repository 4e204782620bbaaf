"""A paragraph for the methods section of a paper, from the data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dicomove.report.flow import flow, share
from dicomove.report.table import counted_once, instances


def methods(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Return the paragraph.

    Parameters
    ----------
    table
        The result table.
    facts
        The facts of its run from the journal; the paragraph leaves out absent ones.
    """
    return " ".join(part for part in (_how(facts), _when(table), _what(table), _checked(table)) if part)


def _how(facts: Mapping[str, Any]) -> str:
    versions = dict(facts.get("versions", {}))
    by = f"dicomove {versions['dicomove']}" if versions else "dicomove"
    below = ", ".join(f"{name} {versions[name]}" for name in ("pynetdicom", "pydicom", "python") if name in versions)
    stack = f" ({below})" if below else ""
    return (
        "Studies were retrieved from the picture archiving and communication system with DICOM C-MOVE (PS3.4 C.4.2) "
        f"by {by}{stack}."
    )


def _when(table: pd.DataFrame) -> str:
    begun, ended = table["started_at"].min(), table["finished_at"].max()  # earlier runs included
    if pd.isna(begun) or pd.isna(ended):
        return ""
    when = f"on {begun:%Y-%m-%d}" if begun.date() == ended.date() else f"from {begun:%Y-%m-%d} to {ended:%Y-%m-%d}"
    return f"The retrieval took place {when} (UTC)."


def _what(table: pd.DataFrame) -> str:
    first, *others = flow(table)
    last = others[-1]
    lost = [f"{loss.reason} (n = {loss.rows:,})" for step in others for loss in step.lost]
    part = f" ({share(last.rows, first.rows)})" if first.rows else ""
    excluded = f"; {first.rows - last.rows:,} were not: {'; '.join(lost)}" if lost else ""
    held = [f"{count:,} {noun}" for noun, count in (("studies", last.studies), ("patients", last.patients)) if count]
    of_them = f" ({' of '.join(held)})" if held else ""
    verb = "received" if table["received"].notna().any() else "moved"
    return (
        f"Of {first.rows:,} requested entries, {last.rows:,}{part} were retrieved completely{of_them}{excluded}. "
        f"In all, {int(instances(counted_once(table)).sum()):,} instances were {verb}."
    )


def _checked(table: pd.DataFrame) -> str:
    if not table["received"].notna().any():
        return "Completeness was judged by the sub-operation counts of the archive and its C-FIND responses."
    if not table["bytes"].notna().any():
        return (
            "Completeness was verified by comparing the instances that the archive lists by C-FIND with those that the "
            "destination lists."
        )
    return (
        "Completeness was verified against the instances that the archive lists by C-FIND and the files on disk, whose "
        "SHA-256 hashes were recorded."
    )
