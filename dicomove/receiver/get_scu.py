"""`GetScu`: C-GET (PS3.4 C.4.3) into the folder of a `Receiver`, by its process. It first finds out the SOP classes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from dicomove.cohort import Identifier, move_identifier
from dicomove.dimse import FindScu, MoveResult
from dicomove.dimse.find import Match
from dicomove.dimse.move_result import completed_event, result_of, sub_operation_event
from dicomove.dimse.presentation_contexts import LOOSE_UID
from dicomove.dimse.reusable_association import ReusableAssociation
from dicomove.dimse.scu import Scu
from dicomove.events import CompletedEvent, SubOperationEvent, notify
from dicomove.outcome import Counts, Evidence
from dicomove.pacs import Pacs
from dicomove.receiver.api import GetEnd, RowId
from dicomove.receiver.receiver import Receiver
from dicomove.receiver.rows import AskedRow, LocalRow

_Keys = tuple[tuple[str, str], ...]
_Find = Callable[[str, Mapping[str, str]], list[Match]]


class GetScu(Scu):
    """Retrieves from one PACS with C-GET. The PACS sends on the association of the request, and needs no port of ours.

    Parameters
    ----------
    pacs
        The PACS.
    verbose
        Show what happens on the network in the log.

    Examples
    --------
    >>> import tempfile
    >>> from dicomove import GetScu, Receiver, find
    >>> from dicomove.testing import demo_pacs
    >>> import pandas as pd
    >>> with demo_pacs() as pacs, Receiver(tempfile.mkdtemp(), port=None) as receiver, GetScu(pacs) as scu:
    ...     study = find(pd.DataFrame({"AccessionNumber": ["A0010"]}), pacs, progress=False).iloc[0]
    ...     result = scu.get_study({"StudyInstanceUID": study["StudyInstanceUID"]}, receiver)
    >>> result.outcome, result.status, result.completed
    ('complete', '0x0000', 3)
    """

    def __init__(self, pacs: Pacs, *, verbose: bool = False, association: ReusableAssociation | None = None) -> None:
        super().__init__(pacs, verbose=verbose, association=association)
        #: The latest SOP classes from the PACS: of a study, or of a series.
        self._known: dict[_Keys, tuple[str, ...]] = {}

    def get_study(
        self,
        query: Mapping[str, object] | Identifier,
        receiver: Receiver,
        *,
        query_model: str = "StudyRoot",
        on_sub_operation: Callable[[SubOperationEvent], object] | None = None,
        on_completed: Callable[[CompletedEvent], object] | None = None,
        total_timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> MoveResult:
        """Retrieve the instances of a query, at its level, into the folder of a receiver.

        The result has failures of the network or of the PACS, with the counts that came before them.

        Parameters
        ----------
        query
            ``QueryRetrieveLevel`` and the unique keys, as for `MoveScu.move_study`.
        receiver
            Takes the instances. It needs no port: ``Receiver(folder, port=None)``.
        query_model
            ``"StudyRoot"`` or ``"PatientRoot"``.
        on_sub_operation
            Called with a `SubOperationEvent` when there are new counts, at most ten times a second. Its exceptions are
            logged.
        on_completed
            Called with a `CompletedEvent` at the end.
        total_timeout
            Seconds for the whole exchange; ``None`` is no limit.
        stop
            Cancels when it is set.

        Raises
        ------
        IdentifierError
            The query cannot be a C-GET; nothing was sent.
        ReceiverError
            The receiver is gone.
        ValueError
            `receiver` is not a `Receiver`.
        """
        identifier = query if isinstance(query, Identifier) else move_identifier(query, query_model)
        if not isinstance(receiver, Receiver):
            message = f"receiver: give a Receiver(folder, port=None), not {type(receiver).__name__}"
            raise ValueError(message)  # noqa: TRY004 - every invalid argument is a ValueError
        self._cancelled.clear()
        run = receiver.runs.begin_run()
        try:
            with receiver.runs.row(AskedRow(RowId(run, 0), dict(identifier.keys), self.pacs.host)) as row:
                result = self.get(
                    identifier, row, on_sub_operation=on_sub_operation, total_timeout=total_timeout, stop=stop
                )
                held = row.await_arrivals(0, 0).held
        finally:
            receiver.runs.end_run(run)
        result = _with_what_came(result, len(held))
        if on_completed:
            notify(on_completed, completed_event(result))
        return result

    def get(
        self,
        identifier: Identifier,
        row: LocalRow,
        *,
        sop_classes: Sequence[str] = (),
        on_sub_operation: Callable[[SubOperationEvent], object] | None = None,
        total_timeout: float | None = None,
        expected: int | None = None,
        stop: threading.Event | None = None,
    ) -> MoveResult:
        """Retrieve an identifier for an open row. The result is the word of the PACS alone.

        If the SOP classes are unknown, the PACS is asked for them. If the number of instances is known, `expected`
        shortens the wait for late ones.
        """
        started_at, started = datetime.now(UTC), time.monotonic()

        def on_counts(counts: Counts) -> None:
            if on_sub_operation:
                notify(on_sub_operation, sub_operation_event(counts, time.monotonic() - started))

        def wants_end() -> bool:
            return self._cancelled.is_set() or (stop is not None and stop.is_set())

        known = tuple(sop_classes) or (() if wants_end() else self._classes(identifier, stop))
        self.close()  # the C-GET opens an association of its own, and there may be only one at a time
        end = row.get(
            self.pacs,
            identifier,
            known,
            total_timeout=total_timeout,
            expected=expected,
            wants_end=wants_end,
            on_counts=on_counts,
        )
        return result_of(
            identifier,
            _evidence(end),
            error_comment=end.error_comment,
            started_at=started_at,
            duration_s=time.monotonic() - started,
            was_begun=end.was_begun,
        )

    def _classes(self, identifier: Identifier, stop: threading.Event | None) -> tuple[str, ...]:
        """Return the SOP classes of an identifier, without a second question about the same study."""
        series = tuple((name, value) for name, value in identifier.keys if name != "SOPInstanceUID")
        study = identifier.study_keys
        known = self._known.get(study) or self._known.get(series)
        if known:
            return known
        find = partial(_find, FindScu(self.pacs, association=self._reusable), identifier.query_model, stop)
        classes = _of_study(find, dict(study))
        self._known = {study: classes} if classes else {series: _listed(find, dict(series), dict(study))}
        return classes or self._known[series]


def _evidence(end: GetEnd) -> Evidence:
    return Evidence(
        status=end.status,
        counts=end.counts,
        failed_sop_instance_uids=end.failed_sop_instance_uids,
        problem=end.problem,
        detail=end.detail,
        sent=end.sent,
        cancelled=end.cancelled,
        permanent=end.permanent,
        method="get",
    )


def _with_what_came(result: MoveResult, received: int) -> MoveResult:
    """Return the result, corrected by the files on disk."""
    if result.outcome == "not_attempted":
        return result
    reported = result.evidence.reported
    missing = None if reported is None else max(0, reported - received)
    evidence = replace(result.evidence, received=received, missing=missing)
    return replace(
        result_of(
            result.identifier,
            evidence,
            error_comment=result.error_comment,
            started_at=result.started_at,
            duration_s=result.duration_s,
        ),
        finished_at=result.finished_at,
    )


def _of_study(find: _Find, above: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of SOP Classes in Study (0008,0062); empty if the PACS does not have it."""
    found = find("STUDY", {"StudyInstanceUID": "", **above, "SOPClassesInStudy": ""})
    return _uids(uid for match in found for uid in match.get("SOPClassesInStudy", "").split("\\"))


def _listed(find: _Find, keys: Mapping[str, str], above: Mapping[str, str]) -> tuple[str, ...]:
    """Return the SOP classes of the instances that the PACS lists."""
    if "StudyInstanceUID" not in keys:
        return ()
    return _uids(match.get("SOPClassUID", "") for match in _instances(find, keys, above))


def _uids(texts: Iterable[str]) -> tuple[str, ...]:
    """Return those that are UIDs: an association that proposes something else may be aborted (PS3.8 9.3.2.2)."""
    return tuple(dict.fromkeys(text for text in texts if LOOSE_UID.fullmatch(text)))


def _instances(find: _Find, keys: Mapping[str, str], above: Mapping[str, str]) -> Iterator[Match]:
    series = keys.get("SeriesInstanceUID")
    matches = [] if series else find("SERIES", {**above, "SeriesInstanceUID": ""})
    for uid in [series] if series else _uids(one.get("SeriesInstanceUID", "") for one in matches):
        yield from find("IMAGE", {**above, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""})


def _find(
    scu: FindScu, query_model: str, stop: threading.Event | None, level: str, keys: Mapping[str, str]
) -> list[Match]:
    """Return the matches; none if the C-FIND fails."""
    asked = {"QueryRetrieveLevel": level, **keys}
    return list(scu.find_studies(asked, query_model=query_model, total_timeout=scu.pacs.idle_timeout, stop=stop))
