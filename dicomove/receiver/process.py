"""The receiver's own process: told what to do on standard input, tells what happens on standard output.

Lines of JSON both ways. It ends when standard input does, and so with the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import config

from dicomove.errors import ReceiverError
from dicomove.files import file_sha256
from dicomove.outcome.patients import difference
from dicomove.receiver.accounts import Accounts
from dicomove.receiver.admission import Admission, network
from dicomove.receiver.keeper import Keeper
from dicomove.receiver.listener import Listener
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.recovery import recover
from dicomove.receiver.settings import Settings
from dicomove.receiver.shelf import Shelf
from dicomove.receiver.storage import Storage
from dicomove.store.instances import InstanceIndex, InstanceRecord, owned

#: UIDs of study, series and instance, and in what the PatientID differs: neither of the two is told.
Other = tuple[str, str, str, str]

_TELL_S: Final = 0.1
_BIND_S: Final = 3.0
_PARENT_S: Final = 1.0
_MOST_FILES: Final = 4096

logger = logging.getLogger("dicomove.receiver")


class Teller:
    """Writes lines on standard output; a reader that is slow or gone holds up nobody for long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Nobody else may write there.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()


class _Logged(logging.Handler):
    """Sends the log to the process that started this one."""

    def __init__(self, teller: Teller) -> None:
        super().__init__(logging.INFO)
        self._teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        self._teller.tell({"event": "log", "level": record.levelno, "text": self.format(record)})


@dataclass(frozen=True)
class Service:
    """What can be asked of the process: each method is a request."""

    listener: Listener
    storage: Storage
    keeper: Keeper
    accounts: Accounts
    admission: Admission

    def expect(self, row: str, keys: dict[str, str], addresses: list[str]) -> None:
        """Open a row: its PACS is let in, and what comes for it is counted."""
        self.accounts.open(row, keys)
        self.admission.open(row, addresses)

    def settle(
        self, row: str, addresses: list[str], patients: list[str], enough: int | None, quiet: float, linger: float
    ) -> dict[str, Any]:
        """Wait for stragglers, and say what came for a row, and what of it is on disk."""
        self.admission.open(row, addresses)  # also where it settles once more
        account = self.accounts.settle(row, enough, quiet, self.storage.is_coming)
        self.admission.close(row, linger)
        entries = self.keeper.of(account.keys)
        return {
            "arrivals": account.arrivals,
            "fates": account.fates,
            "aside": account.aside,
            "strays": account.strays,
            "held": _sizes(entries),
            "others": [*account.others, *_others(entries, patients)],
        }

    def held(self, keys: Mapping[str, str], *, read: bool = False) -> list[tuple[str, int]]:
        """Return what is on disk of these keys: SOP Instance UIDs and sizes; `read` compares the bytes, too."""
        entries = self.keeper.of(keys)
        if read:
            folder = self.storage.folder
            entries = [entry for entry in entries if file_sha256(folder / entry.path) == entry.sha256]
        return _sizes(entries)

    def others(self, keys: Mapping[str, str], patients: list[str]) -> list[Other]:
        """Return what is on disk of these keys with another PatientID, and in what that differs."""
        return _others(self.keeper.of(keys), patients) if patients else []

    def flush(self, seconds: float) -> str | None:
        """Make all durable, or say what prevents it."""
        return self.keeper.flush(seconds)

    def end(self, run: str) -> None:
        """Forget the rows of a run."""
        self.accounts.end(run)
        self.admission.end(run)


def _sizes(entries: Iterable[InstanceRecord]) -> list[tuple[str, int]]:
    return [(entry.SOPInstanceUID, entry.bytes) for entry in entries]


def _others(entries: Iterable[InstanceRecord], patients: Collection[str]) -> list[Other]:
    if not patients:
        return []
    compared = ((entry, difference(entry.PatientID, patients)) for entry in entries)
    return [
        (entry.StudyInstanceUID, entry.SeriesInstanceUID, entry.SOPInstanceUID, words)
        for entry, words in compared
        if words
    ]


def main() -> None:
    """Serve until told to quit, or until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent, who may still want what is on its way
    _allow_many_files()
    # Each UID of each presentation context would be validated twice: half of what a negotiation costs.
    config.settings.reading_validation_mode = config.IGNORE
    teller = Teller()
    settings = Settings.from_json(sys.stdin.readline())
    logger.addHandler(_Logged(teller))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.ExitStack() as stack:
            service = _service(settings, stack)
            teller.tell({"event": "ready", "port": service.listener.port})
            threading.Thread(target=_tell_progress, args=(teller, service), daemon=True).start()
            threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
            _answer_all(teller, service)
    except (OSError, ReceiverError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        teller.tell({"event": "failed", "text": str(error), "in_use": in_use})


def _allow_many_files() -> None:
    """Raise the limit of open files as far as the system allows: each connection and each file that waits has one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > soft:
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _service(settings: Settings, stack: contextlib.ExitStack) -> Service:
    folder = Path(settings.folder)
    shelf = Shelf(folder, settings.existing, settings.min_free)
    was_killed = stack.enter_context(owned(folder))
    shelf.clean()
    index = InstanceIndex(folder)
    stack.callback(index.close)
    if was_killed:
        recover(folder, index, shelf)
    keeper = Keeper(folder, index)
    stack.callback(keeper.close)
    anybody = settings.accept == "any"
    accounts, admission = Accounts(), Admission(map(network, settings.allow), anybody=anybody)
    storage = Storage(shelf, PathTemplate(settings.path), keeper, accounts, accept_any=anybody)
    listener = _listen(settings, admission, storage)
    stack.callback(listener.close)
    return Service(listener, storage, keeper, accounts, admission)


def _listen(settings: Settings, admission: Admission, storage: Storage) -> Listener:
    """Listen; one that has the port and is about to end, as after a restart of the kernel, is waited for."""
    end = time.monotonic() + _BIND_S
    while True:
        try:
            return Listener(settings.host, settings.port, settings.ae_title, admission, storage, settings.limits)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _answer_all(teller: Teller, service: Service) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":  # a forked child of the parent may hold the other end of standard input open
            return
        # Some wait: for stragglers, for the disk.
        threading.Thread(target=_answer, args=(teller, service, request), daemon=True).start()


def _answer(teller: Teller, service: Service, request: dict[str, Any]) -> None:
    ask: Callable[..., Any] = getattr(service, request.pop("do"))
    number = request.pop("id")
    try:
        teller.tell({"id": number, "result": ask(**request)})
    except (OSError, sqlite3.Error, KeyError) as error:
        teller.tell({"id": number, "error": f"{type(error).__name__}: {error}"})


def _tell_progress(teller: Teller, service: Service) -> None:
    told: dict[str, tuple[int, int]] = {}
    unrequested = 0
    while True:
        time.sleep(_TELL_S)
        now = service.accounts.progress(service.storage.coming())
        changed = {row: numbers for row, numbers in now.items() if told.get(row) != numbers}
        told = now
        refused = service.admission.refused()
        more, unrequested = service.storage.unrequested - unrequested, service.storage.unrequested
        if changed or refused or more:
            teller.tell({"event": "progress", "rows": changed, "refused": refused, "unrequested": more})


def _die_with_parent(parent: int) -> None:
    """End also where a forked child of the parent holds the other end of standard input open."""
    while os.getppid() == parent:
        time.sleep(_PARENT_S)
    os._exit(1)
