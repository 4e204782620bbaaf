"""What dicomove says and does about every fault: ``python -m dicomove.testing.fault_table`` prints docs/faults.md.

Each fault concerns the first of two studies, of six instances each; the second shows that a fault in one row does not
reach its neighbour. Timeouts are short.
"""

from __future__ import annotations

import inspect
import queue
import re
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dicomove.errors import DicomoveWarning
from dicomove.events import Event, SubOperationEvent
from dicomove.find import find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.testing import faults
from dicomove.testing.codes import REJECTIONS, STATUSES
from dicomove.testing.faults.base import Fault
from dicomove.testing.order import Order
from dicomove.testing.process import serve
from dicomove.testing.synthetic import Synthetic

_ARCHIVE: Final = Synthetic(studies=12, instances=6, size=512, patients=12)
_STUDIES: Final = list(dict.fromkeys(one.study_instance_uid for one in _ARCHIVE.instances_of_all()))
_DESTINATION: Final = "STORE"
_COUNTS: Final = ("completed", "failed", "warning")
_LONGEST_WAIT_S: Final = 5.0

_HEAD: Final = """# When a PACS goes wrong

Every fault of `dicomove.testing.faults`, and what `find` and `move` make of it. To see one:
`dicomove demo --fault NAME`. `python -m dicomove.testing.fault_table` runs them all and prints this page; the tests
compare.

Each fault concerns the first of two studies of six instances. *moved* is what the PACS counts as completed, failed and
with warnings, *arrived* what the destination really has, *neighbour* the outcome of the second study.
"""

_STATUS_HEAD: Final = """## Every status

A C-MOVE that is answered with this status and nothing else (PS3.4 C.4.2.1.5, PS3.7 Annex C), for a study that is there.
`dicomove.testing.faults.Answers(status)` is the fault.
"""

_REJECTION_HEAD: Final = """## Every rejection

A-ASSOCIATE-RJ (PS3.8 Table 9-21). `dicomove.testing.faults.RejectsAssociation(result, source, reason)` is the fault.
"""


@dataclass(frozen=True)
class Rehearsal:
    """How a fault is tried, where the usual way does not show it."""

    fault: Fault
    also: tuple[Fault, ...] = ()
    interrupt: bool = False
    cohort: Mapping[str, object] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    level: str = "STUDY"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def rehearsals() -> Iterator[Rehearsal]:
    """Yield one for each fault, by name."""
    special = {
        "limits-associations": Rehearsal(faults.LimitsAssociations(limit=0), note="others have taken them all"),
        "refuses-image-level": Rehearsal(faults.RefusesImageLevel(), level="IMAGE", note="rows of instances"),
        "matches-prefixes": Rehearsal(
            faults.MatchesPrefixes(), cohort={"AccessionNumber": ["00000", "000002"]}, note="asked for `00000`"
        ),
        "ignores-case": Rehearsal(
            faults.IgnoresCase(), cohort={"PatientID": ["syn000001", "SYN000002"]}, note="asked for `syn000001`"
        ),
        "ignores-keys": Rehearsal(
            faults.IgnoresKeys(),
            cohort={"PatientID": ["SYN000001", "SYN000002"], "Modality": ["MR", "CT"]},
            note="asked for MR, which there is not",
        ),
        "ignores-cancel": Rehearsal(
            _limited(faults.IgnoresCancel()), also=(faults.Latency(seconds=0.1),), interrupt=True, note="interrupted"
        ),
        "late-cancel": Rehearsal(
            _limited(faults.LateCancel(seconds=1)),
            also=(faults.Latency(seconds=0.1),),
            interrupt=True,
            note="interrupted",
        ),
        "caps-find": Rehearsal(
            faults.CapsFind(most=3), cohort={"PatientID": ["SYN*", "SYN000002"]}, note="12 studies match"
        ),
        "pending-forever": Rehearsal(
            faults.PendingForever(studies=(_STUDIES[0],)), arguments={"total_timeout": 1}, note="with `total_timeout=1`"
        ),
    }
    for name, kind in sorted(faults.BY_NAME.items()):
        yield special.get(name) or Rehearsal(_limited(kind()))


def rehearse(rehearsal: Rehearsal) -> dict[str, str]:
    """Run one, and return its row of the table."""
    with warnings.catch_warnings(), _running(rehearsal.fault, *rehearsal.also) as (pacs, received):
        warnings.simplefilter("ignore", DicomoveWarning)
        cohort = pd.DataFrame(rehearsal.cohort or {"AccessionNumber": ["000001", "000002"]})
        found = find(cohort, pacs, level=rehearsal.level, keys=rehearsal.keys, progress=False)
        known = found if found["outcome"].isin(["matched", "partial"]).any() else _given(rehearsal)
        progress = _interrupt if rehearsal.interrupt else False
        results = move(known, pacs, _DESTINATION, progress=progress, **rehearsal.arguments)
        arrived = _arrived(received, results)
    return _row(rehearsal, found, results, arrived)


def page() -> str:
    """Return docs/faults.md."""
    faulty = [rehearse(rehearsal) for rehearsal in rehearsals()]
    answered = [
        {"status": f"`0x{status:04X}`", "meaning": meaning} | _answered(faults.Answers(status))
        for status, meaning in STATUSES.items()
    ]
    rejected = [
        {"result/source/reason": "/".join(map(str, numbers)), "meaning": meaning}
        | _answered(faults.RejectsAssociation(*numbers))
        for numbers, meaning in REJECTIONS.items()
    ]
    parts = [_HEAD, _markdown(faulty), _STATUS_HEAD, _markdown(answered), _REJECTION_HEAD, _markdown(rejected)]
    return "\n".join(parts)


def _answered(fault: Fault) -> dict[str, str]:
    row = rehearse(Rehearsal(fault, cohort={"StudyInstanceUID": _STUDIES[:1]}))
    return {name: row[name] for name in ("outcome", "error")}


def _markdown(rows: list[dict[str, str]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in rows), ""])


def _limited(fault: Fault) -> Fault:
    """Limit a fault to the first study; one of the association, or of finding, cannot be."""
    return replace(fault, studies=(_STUDIES[0],)) if "C-MOVE" in fault.commands else fault


@contextmanager
def _running(*present: Fault) -> Iterator[tuple[Pacs, Path]]:
    """Run the PACS in a thread: a process of its own for each fault would take a minute."""
    ports: queue.SimpleQueue[int] = queue.SimpleQueue()
    end = threading.Event()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        order = Order(ae_title="PACS", source=_ARCHIVE, scratch=Path(scratch), destination=_DESTINATION, faults=present)
        thread = threading.Thread(target=serve, args=(order, ports.put, end.wait))
        thread.start()
        try:
            yield _impatient(ports.get(timeout=_LONGEST_WAIT_S)), order.received
        finally:
            end.set()
            thread.join()


def _impatient(port: int) -> Pacs:
    return Pacs(
        f"PACS@127.0.0.1:{port}",
        connect_timeout=1,
        association_timeout=0.5,
        idle_timeout=0.5,
        first_response_timeout=1,
    )


def _given(rehearsal: Rehearsal) -> pd.DataFrame:
    """Return the studies themselves, where C-FIND does not work."""
    return pd.DataFrame({"StudyInstanceUID": _STUDIES[:2], "level": rehearsal.level})


def _interrupt(event: Event) -> None:
    """Press Ctrl-C once the move is under way."""
    if isinstance(event, SubOperationEvent):
        signal.raise_signal(signal.SIGINT)


def _arrived(received: Path, results: pd.DataFrame) -> int:
    """Count the instances of the first row; those that come after the final response are waited for a little."""
    prefix = str(results["StudyInstanceUID"].iloc[0])
    before, stable = -1, 0
    while stable < 3:
        now = sum(path.name.startswith(f"{prefix}.") and path.suffix == ".dcm" for path in received.iterdir())
        stable = stable + 1 if now == before else 0
        before = now
        time.sleep(0.02)
    return before


def _row(rehearsal: Rehearsal, found: pd.DataFrame, results: pd.DataFrame, arrived: int) -> dict[str, str]:
    first, last = results.iloc[0], results.iloc[-1]
    asked = found.iloc[0]
    filtered = f", {asked['filtered']} left out" if asked["filtered"] else ""
    said = str(first["advice"]) if pd.notna(first["advice"]) else ""
    return {
        "fault": f"`{rehearsal.fault.name}`" + (f" ({rehearsal.note})" if rehearsal.note else ""),
        "what it is": _first_sentence(rehearsal.fault),
        "find": _word(asked["outcome"]) + (f" `{asked['error']}`" if pd.notna(asked["error"]) else "") + filtered,
        "outcome": _word(first["outcome"]),
        "error": _word(first["error"]),
        "status": _word(first["status"]),
        "moved": "/".join("-" if pd.isna(first[name]) else str(first[name]) for name in _COUNTS),
        "arrived": str(arrived),
        "neighbour": _word(last["outcome"]),
        "advice": re.sub(r"127\.0\.0\.1:\d+", "…", said),
    }


def _word(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else ""


def _first_sentence(fault: Fault) -> str:
    text = " ".join((inspect.getdoc(fault) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
