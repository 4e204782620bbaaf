"""The reaction of dicomove to every fault: ``python -m tests.fault_table`` prints docs/faults.md."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Final

import pandas as pd

from dicomove.run.pacing import Retry
from dicomove.testing import faults
from dicomove.testing.faults.base import Fault
from tests.codes import REJECTIONS, STATUSES
from tests.fault_runs import STUDIES, Disk, Rehearsal, Stage, Trial, given, rehearsals, stage

_COUNTS: Final = ("completed", "failed", "warning")

_HEAD: Final = """# Faults of real PACS

This page lists every fault of `dicomove.testing.faults`, and the results of `find` and `move` with it. To see one, run
`dicomove demo --fault NAME`. `python -m tests.fault_table` runs all faults and prints this page; a test compares it.

Each fault affects the first of two studies with six instances each. Each study is moved twice: to an AE whose disk
dicomove cannot see, and into a `Receiver`.

| column | meaning |
|---|---|
| *find* | the result of `find` |
| *status*, *outcome*, *error*, *advice* | the result of the move to the AE |
| *moved* | the PACS's counts there: completed, failed, with warnings |
| *arrived* | the instances that the AE really has |
| *receiver*, *its error*, *its advice* | outcome, error, and advice if it differs, of the move into the receiver |
| *on disk* | the instances that are really in the receiver's folder |
| *again* | whether `retry` would try the row again: for both moves, or for the named one |
| *neighbour* | the outcome of the second study, in both moves |

## Every fault
"""

_GET_HEAD: Final = """## Every fault with C-GET

The first of two studies is retrieved with `method="get"` into a `Receiver`, from a PACS with this fault. The columns
are those of the table above. Faults of C-FIND alone, or of the destination, are not in it.
"""

_STATUS_HEAD: Final = """## Every status

The PACS answers a C-MOVE for an existing study only with this status (PS3.4 C.4.2.1.5, PS3.7 Annex C), and sends
nothing. *receiver* and *its error* are the result of a move into a `Receiver`. The fault is
`dicomove.testing.faults.Answers(status)`.
"""

_REJECTION_HEAD: Final = """## Every rejection

The PACS answers with A-ASSOCIATE-RJ (PS3.8 Table 9-21). The fault is
`dicomove.testing.faults.RejectsAssociation(result, source, reason)`.
"""


def page(share: int = 0, of: int = 1) -> str:
    """Return docs/faults.md, or a share of its rows: of four, the first one has the rows 0, 4, 8 and so on."""
    moved = [one for one in rehearsals() if one.fault.commands != ("C-GET",)]
    got = [one for one in rehearsals() if "C-GET" in one.fault.commands]
    with stage() as on:
        parts = [
            (_HEAD, [_fault_row(on, rehearsal) for rehearsal in moved[share::of]]),
            (_GET_HEAD, [_get_row(on, rehearsal) for rehearsal in got[share::of]]),
            (_STATUS_HEAD, [_status_row(on, *one) for one in [*STATUSES.items()][share::of]]),
            (_REJECTION_HEAD, [_rejection_row(on, *one) for one in [*REJECTIONS.items()][share::of]]),
        ]
    return "\n".join(part for head, rows in parts for part in (head, _markdown(rows)))


def _get_row(on: Stage, rehearsal: Rehearsal) -> dict[str, str]:
    trial = on.to_the_receiver(rehearsal, given(rehearsal), method="get")
    row, neighbour = trial.results.iloc[0], trial.results.iloc[-1]
    return {
        "fault": _named(rehearsal),
        "status": _word(row["status"]),
        "moved": _counts(row),
        "outcome": _word(row["outcome"]),
        "error": _word(row["error"]),
        "on disk": _on_disk(trial.disk),
        "again": "yes" if _is_wanted(row) else "",
        "neighbour": _word(neighbour["outcome"]),
        "advice": _advice(row),
    }


def _fault_row(on: Stage, rehearsal: Rehearsal) -> dict[str, str]:
    found = on.find(rehearsal)
    known = found if found["outcome"].isin(["matched", "partial"]).any() else given(rehearsal)
    there, here = on.to_an_ae(rehearsal, known), on.to_the_receiver(rehearsal, known)
    first, own = there.results.iloc[0], here.results.iloc[0]
    said, also = _advice(first), _advice(own)
    return {
        "fault": _named(rehearsal),
        "what it is": _first_sentence(rehearsal.fault),
        "find": _found(found.iloc[0]),
        "status": _word(first["status"]),
        "moved": _counts(first),
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


def _status_row(on: Stage, status: int, meaning: str) -> dict[str, str]:
    there, here = _answered(on, faults.Answers(status))
    return {
        "status": f"`0x{status:04X}`",
        "meaning": meaning,
        **_verdict(there, "outcome", "error"),
        **_verdict(here, "receiver", "its error"),
    }


def _rejection_row(on: Stage, numbers: tuple[int, int, int], meaning: str) -> dict[str, str]:
    there, here = _answered(on, faults.RejectsAssociation(*numbers))
    return {
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


def _named(rehearsal: Rehearsal) -> str:
    return f"`{rehearsal.fault.name}`" + (f" ({rehearsal.note})" if rehearsal.note else "")


def _counts(row: pd.Series) -> str:
    return "/".join("-" if pd.isna(row[name]) else str(row[name]) for name in _COUNTS)


def _is_wanted(row: pd.Series) -> bool:
    return Retry().wants(row["outcome"], _or_none(row["error"]), attempt=1)


def _again(*rows: pd.Series) -> str:
    """Return whether `retry` would try both rows again, or which of them."""
    wanted = [_is_wanted(row) for row in rows]
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
