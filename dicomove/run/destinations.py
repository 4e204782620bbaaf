"""Checks where a run moves to: AE titles, other archives, or receivers on this machine."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from dicomove.destination import Destination
from dicomove.errors import AddressError
from dicomove.pacs import Pacs, ae_title, check_pacs
from dicomove.receiver import Receiver
from dicomove.run.options import Options
from dicomove.run.requests import RunSettings

MoveDestination = str | Receiver | Sequence[Receiver] | Destination


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
    if isinstance(destination, Destination):
        _check_pacs(destination.ask, options)
    _check_method(pacs, destination, options)
    seconds, verify = options.total_timeout, options.verify
    if isinstance(destination, Destination):
        return RunSettings(pacs, (destination.ae_title,), total_timeout=seconds, verify=verify, archive=destination)
    if isinstance(destination, str) or not isinstance(destination, Receiver | Sequence):
        title = ae_title(_named(destination), "destination")
        return RunSettings(pacs, (title,), total_timeout=seconds, verify=verify)
    given = (destination,) if isinstance(destination, Receiver) else destination
    receivers = tuple(receiver for receiver in given if isinstance(receiver, Receiver))
    titles = tuple(receiver.ae_title for receiver in receivers)
    if not receivers or len(set(titles)) != len(given):
        message = "destination: a list of receivers, each with an AE title of its own, by which the PACS knows it"
        raise ValueError(message)
    # C-GET connects to no receiver.
    moves_from = "" if options.method == "get" else pacs.host
    runs = tuple(receiver.begin_run(moves_from) for receiver in receivers)
    return RunSettings(pacs, titles, receivers, runs, total_timeout=seconds, verify=verify)


def _named(destination: object) -> str:
    """Return a destination that is an AE title, after a check that it is text."""
    if isinstance(destination, str):
        return destination
    message = (
        f"destination: give an AE title that the PACS knows, Receiver(folder) for this machine, "
        f"or Destination(ae_title, ask=Pacs(...)) for another archive, not {type(destination).__name__}"
    )
    raise AddressError(message)


def _check_method(pacs: Pacs, destination: MoveDestination, options: Options) -> None:
    """Raise a ValueError if the method cannot reach the destination."""
    given = [destination] if isinstance(destination, Receiver) else destination
    receivers = [] if isinstance(given, str) or not isinstance(given, Sequence) else given
    without_port = [one for one in receivers if isinstance(one, Receiver) and not one.listens]
    if options.method == "move" and without_port:
        message = (
            "destination: this receiver listens at no port, so that no PACS can move to it: "
            "use method='get', or give it a port"
        )
        raise ValueError(message)
    if options.method == "move":
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
