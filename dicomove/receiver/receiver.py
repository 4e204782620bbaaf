"""`Receiver`: the Move Destination that runs beside the notebook, in a process of its own."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import warnings
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, get_args

import pandas as pd

from dicomove.errors import ReceiverError, ReceiverWarning
from dicomove.pacs import ae_title as checked_ae_title
from dicomove.receiver import administration
from dicomove.receiver.admission import network
from dicomove.receiver.handle import Handle, ProcessDiedError, StartError
from dicomove.receiver.holder import holder
from dicomove.receiver.manifest import manifest_of
from dicomove.receiver.paths import DEFAULT_PATH, PathTemplate
from dicomove.receiver.reception import Reception
from dicomove.receiver.settings import DEFAULT_LIMITS, Accept, Limits, Settings
from dicomove.receiver.shelf import Existing

_MOST_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60.0
_FLUSH_S: Final = 120.0

DISCREPANCY_COLUMNS: Final = ("row", "kind", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

logger = logging.getLogger("dicomove.receiver")

#: Those that are open in this process, to say who has a port.
_open_receivers: weakref.WeakSet[Receiver] = weakref.WeakSet()


class Receiver:
    """A storage SCP on this machine: give it to `move` as the destination, and every row is verified on disk.

    It listens from the moment when it is made, in a process of its own, until `close`, the end of its ``with``, or the
    end of this process, however that ends. It lets in the PACS whose rows are in flight, and nobody else.

    Parameters
    ----------
    folder
        Where the images go. It is made if there is none, and may hold what came earlier.
    ae_title
        Ours, as the PACS knows it.
    port
        Where it listens; 0 lets the system pick one.
    host
        The address at which it listens; ``"0.0.0.0"`` is every one of this machine.
    path
        The path of an instance in the folder: keywords in braces. Values that are odd are made safe.
    allow
        Addresses and networks (``"10.1.0.0/16"``) that may connect too: PACS that send from another node.
    accept
        ``"requested"`` puts what no row asked for into quarantine, ``"any"`` makes it a plain storage SCP, for anybody.
    existing
        What becomes of an instance that is there with other bytes: ``"keep"`` puts the new one into quarantine,
        ``"replace"`` replaces the old one, ``"keep_both"`` gives the new one a name of its own.
    min_free
        Bytes of the disk that are left free; ``None`` is 1 GiB, or 5 % of a small one.
    quiet_period
        Seconds without an arrival after which nothing more is expected for a row whose move has ended.
    limits
        What a peer may take before it loses its connection.

    Raises
    ------
    ReceiverError
        The port or the folder is taken: the text says by whom.
    AddressError
        `ae_title` is none.
    ValueError
        Another argument cannot be right.

    Examples
    --------
    >>> import tempfile
    >>> import dicomove as dm
    >>> from dicomove.testing import demo_pacs
    >>> folder = tempfile.mkdtemp()
    >>> cohort = pd.DataFrame({"AccessionNumber": ["A0010"]})
    >>> with Receiver(folder, port=0) as receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
    ...     results = dm.move(dm.find(cohort, pacs, progress=False), pacs, receiver, progress=False)
    >>> results[["outcome", "expected", "received", "missing"]].astype(str).iloc[0].tolist()
    ['complete', '3', '3', '0']
    >>> dm.verify(folder)["verified"].tolist()
    ['ok', 'ok', 'ok']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        ae_title: str = "DICOMOVE",
        port: int = 11112,
        host: str = "0.0.0.0",  # noqa: S104 (a PACS is another machine; who may connect is decided by address)
        path: str = DEFAULT_PATH,
        allow: Iterable[str] = (),
        accept: Accept = "requested",
        existing: Existing = "keep",
        min_free: int | None = None,
        quiet_period: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.quiet_period = _seconds(quiet_period)
        PathTemplate(path)  # raises ValueError
        self._settings = Settings(
            folder=str(self.folder),
            ae_title=checked_ae_title(ae_title, "ae_title"),
            host=host,
            port=_port(port),
            path=path,
            allow=tuple(str(network(value)) for value in ([allow] if isinstance(allow, str) else allow)),
            accept=_checked(accept, Accept, "accept"),
            existing=_checked(existing, Existing, "existing"),
            min_free=min_free,
            limits=limits,
        )
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._receptions: dict[str, Reception] = {}
        self._progress: dict[str, tuple[int, int]] = {}
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._closed = False
        self._discrepancies: list[Mapping[str, object]] = []
        self.refused: Counter[str] = Counter()
        self.unrequested = 0
        self._handle = self._start()
        _open_receivers.add(self)

    @property
    def ae_title(self) -> str:
        """The AE title by which the PACS knows it."""
        return self._settings.ae_title

    @property
    def host(self) -> str:
        """The address at which it listens."""
        return self._settings.host

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return self._handle.port

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._handle.pid

    def __repr__(self) -> str:
        if self._closed:
            return f"Receiver({str(self.folder)!r}): closed"
        where = administration.own_address(self.host)
        return (
            f"Receiver({str(self.folder)!r}): the PACS's administrator enters the AE title {self.ae_title}, "
            f"host {where}, port {self.port}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more; what has come is made durable first."""
        with self._lock:
            self._closed = True
            self._finalizer()
            _open_receivers.discard(self)

    def manifest(self) -> pd.DataFrame:
        """Return the record of what is in the folder.

        Returns
        -------
        pandas.DataFrame
            One row per file: ``path`` (relative to the folder), ``bytes``, ``sha256``, ``SOPClassUID``,
            ``TransferSyntaxUID``, ``StudyInstanceUID``, ``SeriesInstanceUID``, ``SOPInstanceUID``,
            ``calling_ae_title``, ``address``, ``move_originator_ae_title``, ``move_originator_message_id``,
            ``received_at`` (UTC), ``times_received``, and ``quarantine``: why it is there, or null.

        Raises
        ------
        ReceiverError
            The record cannot be read, or what came last cannot be made durable.
        """
        if not self._closed:
            self.flush()
        return manifest_of(self.folder)

    def discrepancies(self) -> pd.DataFrame:
        """Return what did not add up in the latest run: which instances are missing, and which nobody expected.

        Returns
        -------
        pandas.DataFrame
            One row per instance: ``row`` (the label in the result table), ``kind`` (``"missing"`` or
            ``"unexpected"``), ``StudyInstanceUID``, ``SeriesInstanceUID``, ``SOPInstanceUID``. What came twice, or
            with other bytes, is in the `manifest`.
        """
        return pd.DataFrame(self._discrepancies, columns=list(DISCREPANCY_COLUMNS), dtype=object)

    def flush(self) -> None:
        """Wait until all that has come is durable.

        Raises
        ------
        ReceiverError
            The disk does not take it.
        """
        problem = self.ask("flush", seconds=_FLUSH_S)
        if problem:
            raise ReceiverError(problem)

    def as_destination(self) -> dict[str, tuple[str, int]]:
        """Return its AE title with host and port, for a rehearsal PACS on this machine."""
        return {self.ae_title: ("127.0.0.1", self.port)}

    def orthanc_modality(self) -> str:
        """Return the entry of ``DicomModalities`` in the configuration of Orthanc, as JSON."""
        return administration.orthanc_modality(self.ae_title, self.host, self.port)

    def dcmtk_host(self) -> str:
        """Return the entry of ``HostTable`` in the configuration of DCMTK's dcmqrscp."""
        return administration.dcmtk_host(self.ae_title, self.host, self.port)

    def dcm4chee_device(self) -> str:
        """Return the device for dcm4chee-arc, as JSON."""
        return administration.dcm4chee_device(self.ae_title, self.host, self.port)

    def begin_run(self) -> str:
        """Return the name of a new run; its rows' names begin with it."""
        return f"{next(self._numbers)}/"

    def end_run(self, run: str, found: Iterable[Mapping[str, object]] = ()) -> None:
        """Forget the rows of a run, after which what comes for them is unrequested; keep what did not add up."""
        self._discrepancies = list(found)
        with self._lock:
            for row in [row for row in self._receptions if row.startswith(run)]:
                del self._receptions[row]
                self._progress.pop(row, None)
        with suppress(ReceiverError):  # it is gone, and so are its rows
            self.ask("end", run=run)

    def expect(self, row: str, keys: Mapping[str, str], host: str) -> Reception:
        """Open a row, before its C-MOVE is sent."""
        reception = Reception(self, row, keys, host)
        with self._lock:
            self._receptions[row] = reception
        reception.open()
        return reception

    def done(self, row: str) -> None:
        """Take a row out of flight."""
        with self._lock:
            self._receptions.pop(row, None)
            self._progress.pop(row, None)

    def progress(self, row: str) -> tuple[int, int]:
        """Return instances and bytes that have come for a row."""
        return self._progress.get(row, (0, 0))

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask the process for something; one that died is started again, and asked once more.

        Raises
        ------
        ReceiverError
            It cannot do it, it is closed, or it dies again and again.
        """
        while True:
            handle = self._handle
            if self._closed:
                message = f"the receiver of {self.folder} is closed: make a new one"
                raise ReceiverError(message)
            try:
                return handle.ask(do, **arguments)
            except ProcessDiedError:
                self._revive(handle)

    def _revive(self, dead: Handle) -> None:
        """Start the process again, at the same port, unless that was done; tell it of the rows in flight."""
        with self._lock:
            if self._closed or self._handle is not dead:
                return
            self._deaths.append(time.monotonic())
            message = f"the receiver's process {dead.ending()}"
            if len(self._deaths) == _MOST_DEATHS and self._deaths[-1] - self._deaths[0] < _DEATHS_WITHIN_S:
                message += f", for the {_MOST_DEATHS}th time within {_DEATHS_WITHIN_S:g} s"
                raise ReceiverError(message)
            self._finalizer.detach()
            dead.close()
            self._settings = replace(self._settings, port=dead.port)
            self._handle = self._start()
            for reception in self._receptions.values():
                self._handle.ask("expect", row=reception.row, keys=reception.keys, addresses=reception.addresses)
        # Last, since where warnings are errors this raises.
        warnings.warn(f"{message} and was started again", ReceiverWarning, stacklevel=2)

    def _start(self) -> Handle:
        me = weakref.ref(self)

        def take(event: dict[str, Any]) -> None:
            receiver = me()
            if receiver:
                receiver._take(event)  # noqa: SLF001 (it is this class)

        def died() -> None:
            receiver = me()
            if receiver:
                receiver._died()  # noqa: SLF001 (it is this class)

        try:
            handle = Handle(self._settings, take, died)
        except StartError as error:
            raise ReceiverError(_why(error, self._settings)) from None
        self._finalizer = weakref.finalize(self, handle.close)
        return handle

    def _died(self) -> None:
        """Start the process again at once, so that a PACS in the middle of a row finds it."""
        try:
            self._revive(self._handle)
        except ReceiverError as error:
            logger.warning("%s", error)

    def _take(self, event: Mapping[str, Any]) -> None:
        for row, (arrivals, size) in event["rows"].items():
            if row in self._receptions:
                self._progress[row] = arrivals, size
        self.refused.update(event["refused"])
        self.unrequested += event["unrequested"]


def _why(error: StartError, settings: Settings) -> str:
    """Return why a receiver did not start, and what to do."""
    if not error.in_use:
        return f"the receiver did not start: {error}"
    for receiver in _open_receivers:
        if receiver.port == settings.port:
            return (
                f"port {settings.port} is taken by another receiver of this process, for {receiver.folder}: call its "
                "close() first, or dicomove.close_receivers()"
            )
    who = holder(settings.port) or "another process, of which the system does not tell who it is"
    return f"port {settings.port} is taken by {who}: end it, or choose another port and tell the PACS"


def close_receivers() -> None:
    """Close every receiver of this process: also one that no variable leads to any more.

    Examples
    --------
    >>> close_receivers()
    """
    for receiver in list(_open_receivers):
        receiver.close()


def _seconds(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        message = f"quiet_period={value!r}: a number of seconds, at least 0"
        raise ValueError(message)
    return value


def _port(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        message = f"port={value!r}: a number from 0 to 65535"
        raise ValueError(message)
    return value


def _checked(value: str, words: Any, name: str) -> Any:
    if value not in get_args(words):
        message = f"{name}={value!r} is not one of {', '.join(get_args(words))}"
        raise ValueError(message)
    return value
