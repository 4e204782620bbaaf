"""How users write the public names, for type checkers: nothing here runs.

mypy reads this file with all others. What is wrong bears a ``type: ignore``: if it passed one day, mypy would say that
the comment is not needed.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import pandas as pd

import dicomove as dm
from dicomove.dimse import EchoResult, FindResult, MoveResult
from dicomove.events import CompletedEvent, SubOperationEvent
from dicomove.run import Hours
from dicomove.tls import TLS
from dicomove.user import User

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def a_pacs() -> dm.Pacs:
    tls = TLS(ca="hospital.pem", certificate=Path("research.pem"))
    user = User("research", passcode={"env": "PACS_PASSCODE"})
    assert_type(dm.Pacs.profile("main"), dm.Pacs)
    assert_type(dm.__version__, str)
    return dm.Pacs("ARCHIVE@pacs:104", calling_ae_title="ME", idle_timeout=None, tls=tls, user=user)


def from_a_list_to_a_verdict(pacs: dm.Pacs) -> pd.DataFrame:
    cohort = assert_type(dm.read_cohort("cohort.xlsx", sheet="list", columns={"MRN": "PatientID"}), pd.DataFrame)
    criteria = dm.query(study_date=(dt.date(2024, 1, 1), dt.date(2024, 6, 30)), modality=["CT", "MR"])
    studies = assert_type(dm.find(criteria, pacs, matches="nearest", within=dt.timedelta(days=3)), pd.DataFrame)
    assert_type(dm.plan(studies, pacs, "ARCHIVE_2"), pd.DataFrame)
    with dm.Receiver(Path("images"), port=11112, allow=["10.1.0.0/16"], existing="keep_both") as receiver:
        assert_type(receiver, dm.Receiver)
        moved = dm.move(studies, pacs, receiver, retry=dm.Retry(attempts=2), hours="19:00-06:00 Europe/Berlin")
        results = dm.retrieve(
            cohort, pacs, receiver, concurrency=2, retry=3, hours=Hours.parse("22:00-05:00 Europe/Berlin")
        )
        assert_type(receiver.manifest(), pd.DataFrame)
        assert_type(receiver.refused, pd.DataFrame)
        assert_type(receiver.as_destination(), dict[str, tuple[str, int]])
    assert_type(moved, pd.DataFrame)
    return assert_type(dm.verdicts(cohort, results), pd.DataFrame)


def elsewhere(studies: pd.DataFrame, pacs: dm.Pacs, other: dm.Pacs) -> dm.MoveJob:
    with dm.Receiver("a", port=1) as first, dm.Receiver("b", port=2, ae_title="B") as second:
        dm.move(studies, pacs, [first, second], executor=ProcessPoolExecutor(), journal="pull.sqlite")
    dm.move(studies, pacs, dm.Destination("ARCHIVE_2", ask=other), method="auto", max_bytes=10**12, journal=False)
    job = dm.start_move(studies, pacs, "ARCHIVE_2", progress=False)
    job.pause()
    job.resume()
    job.cancel()
    assert_type(job.done, bool)
    assert_type(job.results, pd.DataFrame)
    assert_type(job.wait(timeout=10), pd.DataFrame)
    return job


def one_study(pacs: dm.Pacs, receiver: dm.Receiver) -> int | None:
    def hear(event: SubOperationEvent) -> None:
        assert_type(event.completed, int | None)

    def end(event: CompletedEvent) -> str:
        return assert_type(event.outcome, str)

    query = {"StudyInstanceUID": "1.2.3", "QueryRetrieveLevel": "STUDY"}
    with dm.MoveScu(pacs) as scu:
        moved = scu.move_study(query, "ARCHIVE_2", query_model="StudyRoot", on_sub_operation=hear, on_completed=end)
        scu.move_study(query, "ARCHIVE_2", on_sub_operation=print)
    with dm.FindScu(pacs) as find_scu:
        assert_type(find_scu.find_studies({"PatientID": "1"}), FindResult)
        assert_type(find_scu.echo(), EchoResult)
    with dm.GetScu(pacs) as get_scu:
        assert_type(get_scu.get_study(query, receiver), MoveResult)
    assert_type(dm.echo(pacs), EchoResult)
    return assert_type(moved, MoveResult).completed


def afterwards(results: pd.DataFrame) -> Figure:
    path = assert_type(dm.export(results, Path("results.csv")), Path)
    assert_type(dm.read_results(path), pd.DataFrame)
    journal = assert_type(dm.read_journal("images", run=1), pd.DataFrame)
    assert_type(dm.read_manifest("images"), pd.DataFrame)
    assert_type(dm.verify("images"), pd.DataFrame)
    assert_type(dm.summary(journal), pd.DataFrame)
    assert_type(dm.index("images", level="INSTANCE", more_keys=["KVP"], processes=2), pd.DataFrame)
    assert_type(dm.report("images", "report.html", key=b"a secret"), Path)
    dm.preview("images", most=12).savefig("preview.png")
    return dm.plot(results)


def what_goes_wrong(pacs: dm.Pacs) -> pd.DataFrame | None:
    try:
        return dm.doctor(pacs, "ARCHIVE_2", move_one=True)
    except dm.CohortError as error:
        assert_type(str(error), str)
    except dm.DicomoveError:
        raise
    except dm.InterruptedWarning:
        return None
    return None


def wrong(studies: pd.DataFrame, pacs: dm.Pacs) -> None:
    dm.move(studies, pacs)  # type: ignore[call-arg]  # no destination
    dm.move(studies, "ARCHIVE@pacs:104", "ARCHIVE_2")  # type: ignore[arg-type]  # it takes a Pacs, and not its address
    dm.move(studies, pacs, "ARCHIVE_2", concurency=2)  # type: ignore[call-arg]  # a slip of the pen
    dm.move(studies, pacs, "ARCHIVE_2", verify="never")  # type: ignore[arg-type]  # not one of the words
    dm.find(studies, pacs, matches="latest")  # type: ignore[arg-type]
    dm.Receiver("images", existing="overwrite")  # type: ignore[arg-type]
    dm.Pacs("ARCHIVE@pacs:104", idle_timeout="long")  # type: ignore[arg-type]
    dm.Pacs("ARCHIVE@pacs:104").idle_timeout = 5  # type: ignore[misc]  # it is frozen
    dm.read_cohort(["cohort.csv"])  # type: ignore[arg-type]
    print(dm.start_move(studies, pacs, "ARCHIVE_2").outcome)  # type: ignore[attr-defined]  # noqa: T201 (it never runs)
