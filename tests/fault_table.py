"""What dicomove says and does about every fault: ``python -m tests.fault_table`` prints docs/faults.md."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Final

import pandas as pd

from dicomove.run.pacing import Retry
from dicomove.testing import faults
from dicomove.testing.codes import REJECTIONS, STATUSES
from dicomove.testing.faults.base import Fault
from tests.fault_runs import STUDIES, Disk, Rehearsal, Stage, Trial, given, rehearsals, stage

_COUNTS: Final = ("completed", "failed", "warning")

_HEAD: Final = """# When a PACS goes wrong

Every fault of `dicomove.testing.faults`, and what `find` and `move` make of it. To see one:
`dicomove demo --fault NAME`. `python -m tests.fault_table` runs them all and prints this page; the tests
compare.

Each fault concerns the first of two studies of six instances, which are moved twice: to an AE that dicomove cannot look
into (*outcome*, *error*, *status*, *advice*), and from the beginning into a `Receiver` (*receiver*, *its error*, *its
advice* where that is another one). *moved* is what the PACS counts as completed, failed and with warnings, *arrived*
what the AE really has, *on disk* what is really in the receiver's folder. *again* tells whether `retry` would try once
more, and where it depends, which of the two. *neighbour* is the outcome of the second study, at both.
"""

_STATUS_HEAD: Final = """## Every status

A C-MOVE that is answered with this status and nothing else (PS3.4 C.4.2.1.5, PS3.7 Annex C), for a study that is there;
*receiver* and *its error* are of a move into a `Receiver`, on whose disk there is nothing then.
`dicomove.testing.faults.Answers(status)` is the fault.
"""

_REJECTION_HEAD: Final = """## Every rejection

A-ASSOCIATE-RJ (PS3.8 Table 9-21). `dicomove.testing.faults.RejectsAssociation(result, source, reason)` is the fault.
"""


def page() -> str:
    """Return docs/faults.md."""
    with stage() as on:
        parts = [
            (_HEAD, [_fault_row(on, rehearsal) for rehearsal in rehearsals()]),
            (_STATUS_HEAD, list(_statuses(on))),
            (_REJECTION_HEAD, list(_rejections(on))),
        ]
    return "\n".join(part for head, rows in parts for part in (head, _markdown(rows)))


def _fault_row(on: Stage, rehearsal: Rehearsal) -> dict[str, str]:
    found = on.find(rehearsal)
    known = found if found["outcome"].isin(["matched", "partial"]).any() else given(rehearsal)
    there, here = on.to_an_ae(rehearsal, known), on.to_the_receiver(rehearsal, known)
    first, own = there.results.iloc[0], here.results.iloc[0]
    said, also = _advice(first), _advice(own)
    return {
        "fault": f"`{rehearsal.fault.name}`" + (f" ({rehearsal.note})" if rehearsal.note else ""),
        "what it is": _first_sentence(rehearsal.fault),
        "find": _found(found.iloc[0]),
        "status": _word(first["status"]),
        "moved": "/".join("-" if pd.isna(first[name]) else str(first[name]) for name in _COUNTS),
        "outcome": _word(first["outcome"]),
        "error": _word(first["error"]),
        "arrived": str(there.disk.there),
        "receiver": _word(own["outcome"]),
        "its error": _word(own["error"]),
        "on disk": _on_disk(here.disk),
        "again": _again(first, own),
        "neighbour": " ".join(dict.fromkeys(_word(trial.results["outcome"].iloc[-1]) for trial in (there, here))),
        "advice": said,
        "its advice": "" if also == said else also,
    }


def _statuses(on: Stage) -> Iterator[dict[str, str]]:
    for status, meaning in STATUSES.items():
        there, here = _answered(on, faults.Answers(status))
        yield {
            "status": f"`0x{status:04X}`",
            "meaning": meaning,
            **_verdict(there, "outcome", "error"),
            **_verdict(here, "receiver", "its error"),
        }


def _rejections(on: Stage) -> Iterator[dict[str, str]]:
    for numbers, meaning in REJECTIONS.items():
        there, here = _answered(on, faults.RejectsAssociation(*numbers))
        yield {
            "result/source/reason": "/".join(map(str, numbers)),
            "meaning": meaning,
            **_verdict(there, "outcome", "error"),
            "again": _again(there.results.iloc[0], here.results.iloc[0]),
        }


def _answered(on: Stage, fault: Fault) -> tuple[Trial, Trial]:
    rehearsal = Rehearsal(fault)
    study = pd.DataFrame({"StudyInstanceUID": STUDIES[:1]})
    return on.to_an_ae(rehearsal, study), on.to_the_receiver(rehearsal, study)


def _verdict(trial: Trial, outcome: str, error: str) -> dict[str, str]:
    first = trial.results.iloc[0]
    return {outcome: _word(first["outcome"]), error: _word(first["error"])}


def _again(*rows: pd.Series) -> str:
    """Return whether both would be tried again with `retry`, or which."""
    wanted = [Retry().wants(row["outcome"], _or_none(row["error"]), attempt=1) for row in rows]
    if all(wanted):
        return "yes"
    return ", ".join(word for word, wants in zip(("AE", "receiver"), wanted, strict=True) if wants)


def _on_disk(disk: Disk) -> str:
    if not disk.wanted:
        return ""
    altered = f", {disk.altered} of them altered" if disk.altered else ""
    aside = f", {disk.put_aside} in quarantine" if disk.put_aside else ""
    return f"{disk.there}/{disk.wanted}{altered}{aside}"


def _found(row: pd.Series) -> str:
    left_out = f", {row['filtered']} left out" if row["filtered"] else ""
    return " ".join(filter(None, (_word(row["outcome"]), _word(row["error"])))) + left_out


def _advice(row: pd.Series) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "…", _or_none(row["advice"]) or "")


def _markdown(rows: list[dict[str, str]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in rows), ""])


def _or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _word(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else ""


def _first_sentence(fault: Fault) -> str:
    text = " ".join((inspect.getdoc(fault) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
