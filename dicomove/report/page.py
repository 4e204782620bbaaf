"""`report`: one HTML page about a run, which needs neither dicomove nor a network."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from dicomove.cohort import keyword
from dicomove.files import replacing, user_path
from dicomove.notebook import size
from dicomove.report.flow import REASONS, flow, known_error, share
from dicomove.report.plots import draw
from dicomove.report.summary import summary
from dicomove.report.table import Results, counted_once, instances, own_columns, read, table_of
from dicomove.store import Pseudonyms, cohort_sha256, shown_options
from dicomove.words import ADVICE, GOOD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The most rows of a table: browsers cannot show a page with more.
_MOST_ROWS: Final = 5000
_LONG: Final = 24
_SERVICES: Final = {"move": "C-MOVE (PS3.4 C.4.2)", "get": "C-GET (PS3.4 C.4.3)"}
_PAGE: Final = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title><style>
:root { color-scheme: light dark; --line: #8885; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: 1em 0; font-size: .92em; }
th, td { text-align: left; vertical-align: top; padding: .25em .8em .25em 0; border-bottom: 1px solid var(--line); }
td { white-space: pre-line; }
td.u { overflow-wrap: anywhere; min-width: 11em; } td:nth-last-child(1) { min-width: 14em; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: #fff; border-radius: 4px; } code { font-size: .9em; overflow-wrap: anywhere; }
.note { opacity: .75; font-size: .9em; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
</style></head><body>
<h1>$title</h1>
<p class="note">$note</p>
$sections
</body></html>
"""
)


def report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    pseudonymize: bool = True,
    key: str | bytes | None = None,
    title: str = "Retrieval report",
    series: pd.DataFrame | None = None,
) -> Path:
    """Write one page about a run, for a supervisor, an ethics board, or a paper's supplement.

    It contains the request, the time, the PACS and the versions; the flow of the cohort with the numbers that CONSORT
    and STARD require; the incomplete rows with their reasons; and a paragraph for the methods section.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal, which has more facts.
    path
        The HTML file. It gets its name only when it is complete.
    pseudonymize
        Whether to replace names of rows and patients by keyed hashes, to replace UIDs, and to key the cohort's hash.
        The page then counts columns that are not DICOM attributes instead of naming them, and leaves out paths and the
        free text of the PACS and the rows. Only with ``False`` can it contain identifiers of patients.
    key
        The key of the hashes: the same key gives the same pseudonyms in several reports. ``None`` is a random key.
    title
        The headline.
    series
        As for `summary`: the page then has the number of series that are volumes.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    CohortError
        The table is not a result table.
    JournalError
        There is no journal, or it cannot be read.
    ValueError
        The key is empty or not text, the title is not text, `series` is not a table of series, or the path has the
        suffix of another format.
    """
    if not isinstance(title, str):
        message = f"title={title!r}: the headline is text"
        raise ValueError(message)  # noqa: TRY004 - every invalid argument is a ValueError
    where = user_path(path)
    if where.suffix.lower() not in ("", ".html", ".htm") and not where.suffix[1:].isdecimal():  # report_2026.11
        message = f"{where.name!r}: the page is HTML: give it the suffix .html"
        raise ValueError(message)
    given = read(results)
    table = table_of(given)
    names = Pseudonyms(key) if pseudonymize else None
    facts = table.attrs["run"]
    sections = [
        ("Request", _asked(given, table, facts, names)),
        ("Flow of the cohort", _flow(table)),
        ("Summary", _summary(table, names, series)),
        ("Rows that are not complete", _incomplete(given, table, names)),
        ("For the methods section", f"<p>{escape(methods(table, facts))}</p>"),
    ]
    page = _PAGE.substitute(
        title=escape(title),
        note=escape(_note(pseudonymize=pseudonymize)),
        sections="\n".join(f"<h2>{escape(name)}</h2>\n{content}" for name, content in sections),
    )
    with replacing(where) as part:
        part.write_text(page, encoding="utf-8", errors="replace")  # a cell may have half a character
    return where


def _note(*, pseudonymize: bool) -> str:
    written = f"Written at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by dicomove."
    if pseudonymize:
        return f"{written} Keyed hashes replace the names of rows, and UIDs are mapped: it does not identify patients."
    return f"{written} It may identify patients: do not pass it on."


def _asked(given: pd.DataFrame, table: pd.DataFrame, facts: Mapping[str, Any], names: Pseudonyms | None) -> str:
    sha256 = str(facts.get("cohort_sha256") or cohort_sha256(given.iloc[:, own_columns(given)]))
    lines = [("Rows of the table", f"{len(table):,}"), ("Columns", _columns(given, named=names is None))]
    lines += [("Keyed SHA-256 of the cohort", names.cohort(sha256)) if names else ("SHA-256 of the cohort", sha256)]
    lines += [("PACS", str(facts.get("pacs", ""))), ("Destination", str(facts.get("destination", "")))]
    lines += [("Our AE title", str(facts.get("calling_ae_title", "")))]
    lines += [("Begun", _time(facts.get("started_at") or table["started_at"].min()))]
    lines += [("Ended", _time(facts.get("ended_at") or table["finished_at"].max()))]
    options = shown_options(facts.get("options", {}))
    lines += [("Options", ", ".join(f"{name}={value}" for name, value in options.items()))]
    versions = dict(facts.get("versions", {}))
    lines += [("Versions", ", ".join(f"{name} {number}" for name, number in versions.items()))]
    return _rows((("", ""), *((name, value) for name, value in lines if value)))


def _columns(given: pd.DataFrame, *, named: bool) -> str:
    """Return the names of the caller's DICOM columns, and the number of others, whose names may identify a patient."""
    labels = [given.columns[place] for place in own_columns(given)]
    if named:
        return ", ".join(map(str, labels))
    known = list(dict.fromkeys(name for name in map(keyword, labels) if name is not None))
    others = sum(keyword(label) is None for label in labels)
    return ", ".join(known + ([f"and {others:,} more"] if others else []))


def _flow(table: pd.DataFrame) -> str:
    lines = [("step", "rows", "patients", "studies", "instances", "lost before it")]
    for step in flow(table):
        lost = "\n".join(f"{loss.rows:,}: {loss.reason}" for loss in step.lost)
        counts = (step.rows, step.patients, step.studies, step.instances)
        rows, *others = ("" if count is None else f"{count:,}" for count in counts)
        lines.append((step.name, rows, others[0], others[1], others[2], lost))
    once = counted_once(table)
    held = int(once["bytes"].sum())
    whole = f"{int(instances(once).sum()):,} instances" + (f", {size(held)} on disk" if held else "")
    return f"{_picture(table)}{_rows(lines, numbers=(1, 2, 3, 4))}<p>{escape(whole)}.</p>"


def _picture(table: pd.DataFrame) -> str:
    try:
        figure = draw(table)
    except ImportError:  # the extra `plot`
        return ""
    return f'<p><img alt="flow, throughput, durations and hours" src="{_data_uri(figure)}"></p>'


def _data_uri(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode()}"


def _summary(table: pd.DataFrame, names: Pseudonyms | None, series: pd.DataFrame | None) -> str:
    more = () if series is None else ("series", "volumes")
    lines: list[tuple[str, ...]] = [("outcome", "error", "rows", "instances", "median (s)", *more, "what to do")]
    for key, line in summary(table, series=series).iterrows():
        outcome, error = key if isinstance(key, tuple) else (key, "")
        median = "" if pd.isna(line["median_s"]) else f"{line['median_s']:.3g}"
        # Without a known error word, the advice comes from a row and may contain its values.
        advice = ADVICE.get(error, "") if names and line["advice"] else str(line["advice"])
        counts = (f"{line['rows']:,}", _number(line["instances"]), median, *(_number(line[name]) for name in more))
        lines.append((outcome, _error(error, names), *counts, advice))
    return _rows(lines, numbers=(2, 3, 4, *range(5, 5 + len(more))))


def _incomplete(given: pd.DataFrame, table: pd.DataFrame, names: Pseudonyms | None) -> str:
    rows = table[~table["outcome"].isin(GOOD)]
    shown = rows.head(_MOST_ROWS).assign(brought=instances(rows))
    own = [] if names else own_columns(given)
    head = ("number", "row", "patient", "study", "outcome", "error", "instances", "expected", "why")
    lines: list[tuple[str, ...]] = [(*head, *(str(given.columns[place]) for place in own))]
    for position, row in shown.iterrows():
        place = int(str(position))
        cells = (str(given.iloc[place, column]) for column in own)
        lines.append((f"{place + 1:,}", *_named(row, names), *_became(row, names), *cells))
    more = f"<p>... and {len(rows) - _MOST_ROWS:,} more.</p>" if len(rows) > _MOST_ROWS else ""
    return _rows(lines, numbers=(0, 6, 7)) + more


def _named(row: pd.Series, names: Pseudonyms | None) -> tuple[str, str, str]:
    patient, study = (row[key] if isinstance(row[key], str) else "" for key in ("PatientID", "StudyInstanceUID"))
    if names is None:
        return str(row["label"]), patient, study
    return names.label(row["label"]), names.patient(patient) if patient else "", names.uid(study) if study else ""


def _became(row: pd.Series, names: Pseudonyms | None) -> tuple[str, ...]:
    texts = [text for text in (row["advice"], row["error_comment"]) if isinstance(text, str)]
    why = ADVICE.get(str(row["error"]), REASONS[row["outcome"]]) if names else " | ".join(texts)
    counts = (_number(row["brought"]), _number(row["expected"]))
    return (row["outcome"], _error(row["error"], names), *counts, why)


def _error(word: object, names: Pseudonyms | None) -> str:
    """Return the word of the column ``error`` if it is one of ours: any other text may identify a patient."""
    if not isinstance(word, str) or not word:
        return ""
    return word if names is None else known_error(word) or "other"


def _rows(lines: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    head, *body = lines

    def cells(line: Sequence[str], tag: str) -> str:
        kinds = ("n" if number in numbers else "u" if _is_long(cell) else "" for number, cell in enumerate(line))
        return "".join(f'<{tag} class="{kind}">{escape(cell)}</{tag}>' for kind, cell in zip(kinds, line, strict=True))

    if not body:
        return "<p>None.</p>"
    rows = "".join(f"<tr>{cells(line, 'td')}</tr>" for line in body)
    top = f"<thead><tr>{cells(head, 'th')}</tr></thead>" if any(head) else ""
    return f"<table>{top}<tbody>{rows}</tbody></table>"


def _is_long(cell: str) -> bool:
    """Whether a cell has a word, such as a UID, that would make the table wider than the page."""
    return max(map(len, cell.split()), default=0) > _LONG


def _number(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _time(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d %H:%M:%S} UTC"


def methods(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Return the paragraph for the methods section of a paper.

    Parameters
    ----------
    table
        The result table.
    facts
        The facts of its run from the journal; the paragraph leaves out absent ones.
    """
    return " ".join(part for part in (_how(table, facts), _when(table), _what(table), _checked(table)) if part)


def _how(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    versions = dict(facts.get("versions", {}))
    by = f"dicomove {versions['dicomove']}" if versions else "dicomove"
    below = ", ".join(f"{name} {versions[name]}" for name in ("pynetdicom", "pydicom", "python") if name in versions)
    stack = f" ({below})" if below else ""
    methods = set(table["method"].dropna()) or {"move"}
    services = [service for method, service in _SERVICES.items() if methods & {method, "auto"}]
    return (
        "Studies were retrieved from the picture archiving and communication system with DICOM "
        f"{' or '.join(services)} by {by}{stack}."
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
