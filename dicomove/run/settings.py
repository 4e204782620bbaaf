"""What a run and its workers need: the PACS, the destination, the method; checked together, before the run."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dicomove.cohort import Identifier
from dicomove.destination import Destination
from dicomove.errors import AddressError
from dicomove.pacs import Pacs, ae_title, check_pacs
from dicomove.receiver import AskedRow, LocalRow, Receiver, RowId
from dicomove.run.attempt.inventory import Verify
from dicomove.run.options import Method, Options
from dicomove.run.requests import Task
from dicomove.store import Key

MoveDestination = str | Receiver | Sequence[Receiver] | Destination


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings that hold for all rows of a run.

    Attributes
    ----------
    pacs
        The PACS.
    destinations
        AE titles: one, or that of each receiver.
    receivers
        The receivers, if the destinations are receivers.
    runs
        The number of this run at each receiver.
    total_timeout, verify
        As in `move`.
    archive
        The destination, if it is an archive that answers C-FIND.
    """

    pacs: Pacs
    destinations: tuple[str, ...]
    receivers: tuple[Receiver, ...] = ()
    runs: tuple[int, ...] = ()
    total_timeout: float | None = None
    verify: Verify = "auto"
    archive: Destination | None = None

    def destination(self, task: Task) -> str:
        """Return the Move Destination of a task."""
        return self.destinations[task.receiver or 0]

    def row(self, task: Task) -> LocalRow:
        """Open the row of a task at its receiver."""
        number = task.receiver or 0
        asked = AskedRow(
            RowId(self.runs[number], task.positions[0]),
            dict(task.identifier.keys),
            self.pacs.host,
            task.patients,
            dict(task.cells),
            admits_others=not task.is_patient_unknown,
        )
        return self.receivers[number].runs.row(asked)

    def key(self, identifier: Identifier) -> Key:
        """Return the journal's key of an identifier: PACS, destination, level, unique keys, claims."""
        return Key(
            pacs=self.pacs.address,
            destination=destinations_as_text(self.destinations),
            level=identifier.level,
            query_model=identifier.query_model,
            keys=(*identifier.keys, *identifier.claims) if identifier.claims else identifier.keys,
        )

    def written(self) -> dict[str, object]:
        """Return what the journal keeps of the destination, so that `dicomove resume` makes it again.

        Secrets are not kept: if the archive is asked with TLS or as a user, ``ask`` is null.
        """
        if self.receivers:
            runs = self.receivers[0].runs
            return {"path": runs.path_template.template, "receiver": runs.written()}
        if self.archive is None:
            return {}
        ask = self.archive.ask
        is_plain = ask.tls is None and ask.user is None
        return {
            "ask": ask.address if is_plain else None,
            "ask_calling_ae_title": ask.calling_ae_title,
            "ask_quiet_period": self.archive.quiet_period,
        }

    def remote(self) -> RunSettings:
        """Return the settings for a worker elsewhere."""
        return replace(self, receivers=(), runs=())


@lru_cache(maxsize=16)
def destinations_as_text(destinations: tuple[str, ...]) -> str:
    """Return the destinations of a run as one text of the journal."""
    return "\\".join(sorted(destinations))


def run_settings(pacs: Pacs, destination: MoveDestination, options: Options) -> RunSettings:
    """Return the settings that hold for all rows of a run.

    Raises
    ------
    AddressError
        The destination is not an AE title, or the passcode of the user cannot be found.
    ValueError
        The list contains anything but receivers, or two of them have the same AE title; an executor would get an
        `ssl.SSLContext`; or the method cannot reach this destination.
    """
    _check_pacs(pacs, options)
    archive = destination if isinstance(destination, Destination) else None
    if archive:
        _check_pacs(archive.ask, options)
    receivers = _receivers(destination)
    _check_method(pacs, receivers, options)
    if receivers:
        titles = tuple(receiver.ae_title for receiver in receivers)
    else:
        titles = (archive.ae_title if archive else ae_title(_named(destination), "destination"),)
    # C-GET connects to no receiver.
    peer = "" if options.method == "get" else pacs.host
    runs = tuple(receiver.runs.begin_run(peer) for receiver in receivers)
    return RunSettings(pacs, titles, receivers, runs, options.total_timeout, options.verify, archive)


def _receivers(destination: MoveDestination) -> tuple[Receiver, ...]:
    """Return the receivers of a destination; none if it is an AE title or another archive."""
    if isinstance(destination, Receiver):
        return (destination,)
    if isinstance(destination, str) or not isinstance(destination, Sequence):
        return ()
    receivers = tuple(one for one in destination if isinstance(one, Receiver))
    if not receivers or len({receiver.ae_title for receiver in receivers}) != len(destination):
        message = "destination: a list of receivers, each with an AE title of its own, by which the PACS knows it"
        raise ValueError(message)
    return receivers


def _named(destination: object) -> str:
    """Return a destination that is an AE title, after a check that it is text."""
    if isinstance(destination, str):
        return destination
    message = (
        f"destination: give an AE title that the PACS knows, Receiver(folder) for this machine, "
        f"or Destination(ae_title, ask=Pacs(...)) for another archive, not {type(destination).__name__}"
    )
    raise AddressError(message)


def _check_method(pacs: Pacs, receivers: Sequence[Receiver], options: Options) -> None:
    """Raise a ValueError if the method cannot reach the destination."""
    if options.method == "move":
        if not all(receiver.listens for receiver in receivers):
            message = (
                "this receiver listens at no port, so that no PACS can move to it: use method='get', or give it a port"
            )
            raise ValueError(message)
        return
    if not receivers:
        message = f"method={options.method!r}: C-GET brings the images to this machine, and needs a Receiver for them"
        raise ValueError(message)
    if options.executor is not None:
        message = f"method={options.method!r}: C-GET is done by the receiver's process, and not by an executor"
        raise ValueError(message)
    if isinstance(pacs.tls, ssl.SSLContext):
        message = "tls: an ssl.SSLContext cannot be sent to the receiver's process: give Pacs(tls=TLS(...))"
        raise ValueError(message)  # noqa: TRY004 (as for the other arguments)


def _check_pacs(pacs: Pacs, options: Options) -> None:
    """Raise now for settings that would fail in every worker."""
    check_pacs(pacs)
    pacs.identity()
    if options.executor is not None and isinstance(pacs.tls, ssl.SSLContext):
        message = "tls: an ssl.SSLContext cannot be sent to the workers of an executor: give Pacs(tls=TLS(...))"
        raise ValueError(message)


def chosen_method(settings: RunSettings, options: Options) -> Method:
    """Return the method; a receiver without a port can only be filled by C-GET."""
    is_get = options.method == "auto" and not all(receiver.listens for receiver in settings.receivers)
    return "get" if is_get else options.method
