"""`Receiver`: the Move Destination that runs beside the notebook, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final, Self

import pandas as pd

from dicomove.errors import ReceiverError, ReceiverWarning, warn
from dicomove.events import StudyReceived
from dicomove.files import user_path
from dicomove.pacs import Pacs
from dicomove.receiver.api import Flush
from dicomove.receiver.pacs_entry import EVERY, advertised, dcm4chee_entry, orthanc_entry, own_address
from dicomove.receiver.paths import DEFAULT_PATH
from dicomove.receiver.placing import Existing
from dicomove.receiver.rows import RowsInFlight, refused_table
from dicomove.receiver.runs import FLUSH_S, RunsAtReceiver
from dicomove.receiver.settings import DEFAULT_LIMITS, Accept, Limits, Mislabelled, Settings, checked_quiet_period
from dicomove.receiver.studies import StudyWatch
from dicomove.receiver.supervision import Supervisor
from dicomove.store import read_manifest
from dicomove.tls import TLS

DISCREPANCY_COLUMNS: Final = ("row", "kind", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Receiver:
    """A storage SCP on this machine: give it to `move` as the destination, and every row is verified on disk.

    It runs in a process of its own. It listens as soon as it exists, until `close`, the end of its ``with``, or the end
    of this process, however that ends. Only the PACS whose rows are in flight, or have just ended, and the addresses in
    `allow` may store. Other addresses get C-ECHO only. Functions that take its folder also take the receiver.

    Parameters
    ----------
    folder
        The folder for the images. It is made if it does not exist, and may contain earlier images.
    ae_title
        The AE title by which the PACS knows the receiver.
    port
        The port at which it listens; 0 lets the system choose one. With ``None`` it listens at none, and only C-GET
        fills the folder: ``move(..., method="get")``.
    host
        The address at which it listens; ``"0.0.0.0"`` stands for all IPv4 addresses of this machine, ``"::"`` for
        all addresses of IPv4 and IPv6.
    path
        The path of an instance in the folder: keywords in braces, and columns of the table that `move` or `retrieve`
        gets: ``"sub-{subject}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm"``. The row that asked for an
        instance decides. With ``accept="any"``, an instance without a row goes to the folder ``unasked`` if the path
        has columns. Unusual values are made safe for file systems.
    allow
        More addresses and networks (``"10.1.0.0/16"``) that may connect: a PACS may send from another node.
    accept
        ``"requested"`` puts instances into quarantine that no row asked for. ``"any"`` makes it a plain storage SCP:
        every instance is stored, and every address may connect, or else those of `allow` if it names any.
    existing
        If the folder has the instance with different content, ``"keep"`` puts the new one into quarantine,
        ``"replace"`` replaces the old one, and ``"keep_both"`` gives the new one another name.
    mislabelled
        The place of an instance whose bytes contradict its transfer syntax: most readers cannot open it.
        ``"quarantine"`` puts it into quarantine, and the row is not complete. ``"keep"`` stores it as it came, and the
        column ``remark`` of the manifest names the contradiction.
    min_free
        Bytes that stay free on the disk; ``None`` is 1 GiB, or 5 % of a small disk.
    quiet_period
        After the move of a row has ended, the receiver still waits for instances. The row ends when none has arrived
        for so many seconds. If fewer instances arrived than the PACS reported, the receiver waits for the whole period,
        because the rest may be on its way.
    limits
        Time and connections that a peer may use before it loses its connection.
    tls
        The certificate that it shows, ``TLS(certificate=..., key=...)``. Every association then has to use TLS. With
        ``ca=...``, the PACS has to show a certificate, too (PS3.15 B).
    advertise
        The address at which the PACS reaches the receiver, ``"host:port"`` or ``"host"``, where that is not an address
        of this machine: in a container, behind NAT or port forwarding. The entries for the PACS name it.
    on_study
        Called with a `StudyReceived` for each study that has come, once no instance of it has come for the quiet
        period, and at the end. It runs in a thread of its own; what it raises is logged.

    Raises
    ------
    ReceiverError
        The port or the folder is taken. The message names the process that has it.
    AddressError
        `ae_title` is not an AE title, or `tls` has no certificate that can be used.
    ValueError
        Another argument is wrong.

    Examples
    --------
    >>> import tempfile
    >>> import dicomove as dm
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"AccessionNumber": ["A0010"]})
    >>> receiver = Receiver(tempfile.mkdtemp(), port=0)
    >>> with receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
    ...     results = dm.move(dm.find(cohort, pacs, progress=False), pacs, receiver, progress=False)
    >>> results[["outcome", "expected", "received", "missing"]].astype(str).iloc[0].tolist()
    ['complete', '3', '3', '0']
    >>> dm.verify(receiver)["verified"].tolist()
    ['ok', 'ok', 'ok']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        ae_title: str = "DICOMOVE",
        port: int | None = 11112,
        host: str = "0.0.0.0",  # noqa: S104 (a PACS is another machine; who may connect is decided by address)
        path: str = DEFAULT_PATH,
        allow: Iterable[str] = (),
        accept: Accept = "requested",
        existing: Existing = "keep",
        mislabelled: Mislabelled = "quarantine",
        min_free: int | None = None,
        quiet_period: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
        tls: TLS | None = None,
        advertise: str | None = None,
        on_study: Callable[[StudyReceived], object] | None = None,
    ) -> None:
        self.folder = user_path(folder).absolute()
        self.quiet_period = checked_quiet_period(quiet_period)
        if on_study is not None and not callable(on_study):
            message = f"on_study={on_study!r}: give a function, which gets each study"
            raise ValueError(message)
        settings = Settings(
            folder=str(self.folder),
            ae_title=ae_title,
            port=port,
            host=host,
            path=path,
            allow=(allow,) if isinstance(allow, str) else tuple(allow),
            accept=accept,
            existing=existing,
            mislabelled=mislabelled,
            min_free=min_free,
            limits=limits,
            tls=tls,
            advertise=advertise,
        )
        self._in_flight = RowsInFlight()
        self._supervisor = Supervisor(settings.checked(), self._in_flight)
        #: What a run asks of it.
        self.runs = RunsAtReceiver(self._supervisor, self._in_flight, self.folder, self.quiet_period)
        self._watch = StudyWatch(self.folder, self.quiet_period, on_study) if on_study else None

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def ae_title(self) -> str:
        """The AE title by which the PACS knows it."""
        return self._supervisor.settings.ae_title

    @property
    def host(self) -> str:
        """The address at which it listens."""
        return self._supervisor.settings.host

    @property
    def port(self) -> int:
        """The port at which it listens; 0 without a port."""
        return self._supervisor.port

    @property
    def listens(self) -> bool:
        """Whether it listens at a port, so that a PACS can move to it."""
        return self._supervisor.settings.port is not None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._supervisor.pid

    @property
    def refused(self) -> pd.DataFrame:
        """The peers that the receiver turned away, and why.

        One row per peer and reason: ``address``, ``ae_title`` (null if it sent none), ``reason``, ``count``.
        """
        return refused_table(self._in_flight.refusals())

    @property
    def unrequested(self) -> int:
        """The number of instances that no row had asked for. They are in quarantine."""
        return self._in_flight.unrequested

    def __repr__(self) -> str:
        if self._supervisor.closed:
            return f"Receiver({str(self.folder)!r}): closed"
        if not self.listens:
            return f"Receiver({str(self.folder)!r}): listens at no port, and is filled by C-GET"
        host, port = self._address()
        return (
            f"Receiver({str(self.folder)!r}): the PACS's administrator enters the AE title {self.ae_title}, "
            f"host {host}, port {port}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. Everything that arrived is made durable first; a `ReceiverWarning` tells what is not."""
        problem = self._supervisor.close()
        if self._watch:
            self._watch.close()
        self.runs.close()
        if problem:
            warn(problem, ReceiverWarning)

    def address_for(self, pacs: Pacs | str = "") -> tuple[str, int]:
        """Return host and port for the entry of the receiver in a PACS.

        They are those of ``advertise=``. Without it, the host is the address at which the receiver listens, or else
        that of this machine on the route to the PACS, because a machine with two network cards has two addresses.

        Parameters
        ----------
        pacs
            The PACS, or its host. Without it, the default route counts.

        Raises
        ------
        ReceiverError
            The receiver listens at no port.
        """
        if not self.listens:
            message = "this receiver listens at no port, so that no PACS can have an entry for it: only C-GET fills it"
            raise ReceiverError(message)
        advertise = self._supervisor.settings.advertise
        if advertise is not None:
            host, port = advertised(advertise)
            return host, port or self.port
        return own_address(self.host, pacs.host if isinstance(pacs, Pacs) else pacs), self.port

    def as_destination(self) -> dict[str, tuple[str, int]]:
        """Return its AE title with host and port, for a rehearsal PACS on this machine; empty without a port."""
        if not self.listens:
            return {}
        is_named = self._supervisor.settings.advertise is not None or self.host not in EVERY
        return {self.ae_title: self.address_for() if is_named else ("127.0.0.1", self.port)}

    def orthanc_modality(self, pacs: Pacs | None = None) -> str:
        """Return the entry of ``DicomModalities`` in Orthanc's configuration, as JSON; see `address_for`.

        Orthanc 1.12 sends compressed images of a study uncompressed if others of it are uncompressed, unless its entry
        has ``"AllowTranscoding": false``.
        """
        return orthanc_entry(self.ae_title, *self._address(pacs))

    def dcmtk_host(self, pacs: Pacs | None = None) -> str:
        """Return the entry of ``HostTable`` in dcmqrscp's configuration; see `address_for`."""
        host, port = self._address(pacs)
        return f"{self.ae_title.lower()} = ({self.ae_title}, {host}, {port})"

    def dcm4chee_device(self, pacs: Pacs | None = None) -> str:
        """Return the device for dcm4chee-arc, as JSON for ``POST /dcm4chee-arc/devices/{name}``; see `address_for`."""
        return dcm4chee_entry(self.ae_title, *self._address(pacs))

    def _address(self, pacs: Pacs | None = None) -> tuple[str, int]:
        """Return host and port for this PACS, or else for the one of the latest run."""
        return self.address_for(pacs or self.runs.pacs_host)

    def manifest(self) -> pd.DataFrame:
        """Return the record of the files in the folder.

        Returns
        -------
        pandas.DataFrame
            One row per file: ``path`` (relative to the folder), ``bytes``, ``sha256``, ``SOPClassUID``,
            ``TransferSyntaxUID``, ``StudyInstanceUID``, ``SeriesInstanceUID``, ``SOPInstanceUID``,
            ``calling_ae_title``, ``address``, ``move_originator_ae_title``, ``move_originator_message_id``,
            ``received_at`` (UTC), ``times_received``, ``quarantine``: the reason, or null; and ``remark``: that an
            image has no pixel data, or, with ``mislabelled="keep"``, why the bytes contradict the transfer syntax.

        Raises
        ------
        ReceiverError
            The record cannot be read, or the latest files cannot be made durable.
        """
        if not self._supervisor.closed and (problem := self.runs.durability().problem):
            raise ReceiverError(problem)
        return read_manifest(self.folder)

    def discrepancies(self) -> pd.DataFrame:
        """Return the discrepancies of the latest run: instances that are missing, unexpected, or of another PatientID.

        Returns
        -------
        pandas.DataFrame
            One row per instance: ``row`` (the label in the result table), ``kind`` (``"missing"``, ``"unexpected"``,
            or ``"other_patient"``: its PatientID is not the one that the row names), ``StudyInstanceUID``,
            ``SeriesInstanceUID``, ``SOPInstanceUID``. The `manifest` has the instances that arrived twice, or with
            different content.
        """
        return pd.DataFrame(self.runs.discrepancies, columns=list(DISCREPANCY_COLUMNS), dtype=object)

    def flush(self) -> None:
        """Wait until everything that arrived is durable.

        Raises
        ------
        ReceiverError
            The disk refuses it, or it has lost a file since the last call.
        """
        durable = self._supervisor.ask(Flush(FLUSH_S, forgets=True))
        if problem := durable.problem or next((one.problem for one in durable.lost), None):
            raise ReceiverError(problem)
