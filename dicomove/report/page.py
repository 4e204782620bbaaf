"""`report`: one page about a run, which needs neither this program nor a network to be read."""

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

from dicomove.outcome import ADVICE
from dicomove.report.flow import REASONS, flow, instances, table_of
from dicomove.report.methods import methods
from dicomove.report.pseudonyms import Pseudonyms
from dicomove.report.summary import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS: Final = 500
_GOOD: Final = ("complete", "skipped")
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
td { overflow-wrap: anywhere; } td:nth-last-child(1) { min-width: 14em; }
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
    results: pd.DataFrame | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    pseudonymize: bool = True,
    key: str | bytes | None = None,
    title: str = "Retrieval report",
) -> Path:
    """Write one page about a run, for a supervisor, an ethics board, or a paper's supplement.

    It says what was asked, when, from which PACS, by which versions; what became of the cohort, with the numbers of a
    CONSORT or STARD flow; which rows are not complete, and why; and has a paragraph for the methods section.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal, which knows more.
    path
        The HTML file. It gets its name when it is whole.
    pseudonymize
        Rows are named by keyed hashes and UIDs are mapped; paths, and what the PACS or the rows say in words of their
        own, are left out. Only with ``False`` identifiers of patients can be in it.
    key
        Makes the pseudonyms of several reports the same; ``None`` is a random one for this report.
    title
        Its headline.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        It is no result table.
    """
    table = table_of(results)
    names = Pseudonyms(key) if pseudonymize else None
    facts = dict(table.attrs.get("run", {}))
    sections = [
        ("What was asked", _asked(table, facts)),
        ("What became of it", _flow(table)),
        ("Summary", _summary(table, names)),
        ("Rows that are not complete", _incomplete(table, names)),
        ("For the methods section", f"<p>{escape(methods(table, facts))}</p>"),
    ]
    page = _PAGE.substitute(
        title=escape(title),
        note=escape(_note(pseudonymize=pseudonymize)),
        sections="\n".join(f"<h2>{escape(name)}</h2>\n{content}" for name, content in sections),
    )
    where = Path(path)
    half = where.with_name(f".{where.name}.part")
    half.write_text(page, encoding="utf-8")
    half.replace(where)
    return where


def _note(*, pseudonymize: bool) -> str:
    written = f"Written at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by dicomove."
    if pseudonymize:
        return f"{written} Rows are named by keyed hashes, and UIDs are mapped: it identifies no patient."
    return f"{written} It may identify patients: do not hand it on."


def _asked(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    lines = [("Rows of the cohort", f"{len(table):,}"), ("Columns", ", ".join(map(str, facts.get("columns", []))))]
    lines += [("SHA-256 of the cohort", str(facts.get("cohort_sha256", "")))]
    lines += [("PACS", str(facts.get("pacs", ""))), ("Destination", str(facts.get("destination", "")))]
    lines += [("Our AE title", str(facts.get("calling_ae_title", "")))]
    lines += [("Begun", _time(facts.get("started_at") or table["started_at"].min()))]
    lines += [("Ended", _time(facts.get("ended_at") or table["finished_at"].max()))]
    options = {name: value for name, value in dict(facts.get("options", {})).items() if value is not None}
    lines += [("Options", ", ".join(f"{name}={value}" for name, value in options.items()))]
    versions = dict(facts.get("versions", {}))
    lines += [("Versions", ", ".join(f"{name} {number}" for name, number in versions.items()))]
    return _rows((("", ""), *((name, value) for name, value in lines if value)))


def _flow(table: pd.DataFrame) -> str:
    lines = [("step", "rows", "lost before it")]
    lines += [
        (step.name, f"{step.rows:,}", "; ".join(f"{count:,}: {reason}" for reason, count in step.lost))
        for step in flow(table)
    ]
    brought = int(instances(table).sum())
    size = int(table["bytes"].sum()) if table["bytes"].notna().any() else None
    whole = f"{brought:,} instances" + (f", {size / 1e9:,.2f} GB on disk" if size is not None else "")
    return f"{_picture(table)}{_rows(lines, numbers=(1,))}<p>{escape(whole)}.</p>"


def _picture(table: pd.DataFrame) -> str:
    try:
        from dicomove.report.plots import plot

        figure = plot(table)
    except ImportError:  # the extra `plot`
        return ""
    return f'<p><img alt="flow, throughput, durations and hours" src="{_data_uri(figure)}"></p>'


def _data_uri(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode()}"


def _summary(table: pd.DataFrame, names: Pseudonyms | None) -> str:
    lines: list[tuple[str, ...]] = [("outcome", "error", "rows", "instances", "median s", "what to do")]
    for key, line in summary(table).iterrows():
        outcome, error = key if isinstance(key, tuple) else (key, "")
        median = "" if pd.isna(line["median_s"]) else f"{line['median_s']:.2f}"
        # Where there is no word for it, the advice is that of a row, and may say what is in it.
        advice = ADVICE.get(error, "") if names else str(line["advice"])
        lines.append((outcome, error, f"{line['rows']:,}", f"{line['instances']:,}", median, advice))
    return _rows(lines, numbers=(2, 3, 4))


def _incomplete(table: pd.DataFrame, names: Pseudonyms | None) -> str:
    rows = table[~table["outcome"].isin(_GOOD)]
    lines: list[tuple[str, ...]] = [("row", "study", "outcome", "error", "on disk", "expected", "why")]
    for label, row in rows.head(_MOST_ROWS).iterrows():
        study = row.get("StudyInstanceUID")
        study = study if isinstance(study, str) else ""
        error = row["error"] if isinstance(row["error"], str) else ""
        why = ADVICE.get(error, REASONS.get(row["outcome"], "")) if names else str(row["advice"] or "")
        named = (names.label(label), names.uid(study) if study else "") if names else (str(label), study)
        lines.append((*named, row["outcome"], error, _number(row["received"]), _number(row["expected"]), why))
    more = len(rows) - _MOST_ROWS
    return _rows(lines, numbers=(4, 5)) + (f"<p>... and {more:,} more.</p>" if more > 0 else "")


def _rows(lines: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    head, *body = lines

    def cells(line: Sequence[str], tag: str) -> str:
        kinds = (' class="n"' if number in numbers else "" for number in range(len(line)))
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, line, strict=True))

    if not body:
        return "<p>None.</p>"
    rows = "".join(f"<tr>{cells(line, 'td')}</tr>" for line in body)
    top = f"<thead><tr>{cells(head, 'th')}</tr></thead>" if any(head) else ""
    return f"<table>{top}<tbody>{rows}</tbody></table>"


def _number(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _time(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:%Y-%m-%d %H:%M:%S} UTC"
