"""The receiver's own process: requests come on standard input; answers and progress go to standard output.

Both are lines of JSON. The process ends when standard input ends, and so also after a crash of its parent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydicom import config

from dicomove.errors import ReceiverError
from dicomove.logs import log_exception
from dicomove.processes import Process, allow_many_files
from dicomove.receiver.admission import Admission, network
from dicomove.receiver.api import (
    AwaitArrivals,
    Expect,
    Request,
    RowId,
)
from dicomove.receiver.lines import (
    Alive,
    Answered,
    Ended,
    Failed,
    JsonLines,
    Logged,
    Progress,
    Quit,
    Ready,
    read_request,
)
from dicomove.receiver.own_process.answers import Api
from dicomove.receiver.own_process.c_get import Getter
from dicomove.receiver.own_process.commit import Committer
from dicomove.receiver.own_process.recovery import recover
from dicomove.receiver.own_process.server import StorageServer
from dicomove.receiver.own_process.storage import Storage
from dicomove.receiver.own_process.tallies import RowTallies
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.placing import FileStore
from dicomove.receiver.settings import Settings
from dicomove.store.instances import InstanceIndex
from dicomove.store.ownership import Ownership, owned
from dicomove.tls import server_side

#: The longest delay of a verdict because of a handshake in progress, in seconds.
_DECIDING_S: Final = 1.0
_TELL_S: Final = 0.1
_SIGN_S: Final = 0.5
_PARENT_S: Final = 1.0
#: How long the process may take to make everything durable after its parent has ended, in seconds: the receiver of the
#: next kernel waits a little longer for the folder.
_LONGEST_END_S: Final = 7.0

logger = logging.getLogger("dicomove.receiver")


class _LogHandler(logging.Handler):
    """Sends the log to the parent process."""

    def __init__(self, lines: JsonLines) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.tell(Logged(record.levelno, self.format(record)))


def main(started_by: str) -> None:
    """Serve until the order to quit, or until standard input ends.

    Parameters
    ----------
    started_by
        The parent process, from the command line.
    """
    parent = Process.read(started_by) or Process(os.getppid())
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent, and not before
    allow_many_files()
    # Otherwise pydicom validates each UID of each presentation context twice: half the cost of a negotiation.
    config.settings.reading_validation_mode = config.IGNORE
    lines = JsonLines()
    settings = Settings.from_json(sys.stdin.readline())
    expected = list(_rows_in_flight())
    logger.addHandler(_LogHandler(lines))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.ExitStack() as stack:
            api, port = _api(settings, parent, stack, expected, lines)
            news = _News(lines, api)
            threading.Thread(target=news.tell_on_and_on, daemon=True).start()
            ending = threading.Event()
            threading.Thread(target=_live, args=(lines,), daemon=True).start()
            threading.Thread(target=_die_with, args=(parent, ending), daemon=True).start()
            # Last, so that all threads have started when the receiver is ready.
            lines.tell(Ready(port))
            _answer_all(lines, api, news)
            ending.set()
    except (OSError, ReceiverError) as error:
        lines.tell(Failed(str(error)))


def _rows_in_flight() -> Iterator[Expect]:
    """Yield the rows in flight of the previous process, up to an empty line."""
    while line := sys.stdin.readline().strip():
        request = read_request(line)
        if isinstance(request, tuple) and isinstance(request[1], Expect):
            yield request[1]


def _api(
    settings: Settings, parent: Process, stack: contextlib.ExitStack, expected: Iterable[Expect], lines: JsonLines
) -> tuple[Api, int]:
    """Return the API and the port. The rows in flight are open before a PACS can connect."""
    folder = Path(settings.folder)
    files = FileStore(folder, settings.existing, settings.min_free)
    ownership = stack.enter_context(owned(folder, parent))
    files.clean()
    index = InstanceIndex(folder)
    stack.callback(index.close)
    template = PathTemplate(settings.path, takes_columns=True)
    if ownership.needs_recovery:
        ownership.needs_recovery = not recover(folder, index, files, template)
    committer = Committer(folder, index, replaces=settings.existing == "replace")
    stack.callback(_finish, committer, ownership, lines)
    takes_all = settings.accept == "any"
    # If the user names addresses, no others may connect.
    anybody = takes_all and not settings.allow
    tallies, admission = RowTallies(), Admission(map(network, settings.allow), anybody=anybody)
    keeps = settings.mislabelled == "keep"
    storage = Storage(files, template, committer, tallies, accept_any=takes_all, keep_mislabelled=keeps)
    api = Api(Getter(storage, settings.limits), storage, committer, tallies, admission)
    for expect in expected:
        api.expect(expect)
    port = 0 if settings.port is None else _listen(settings, settings.port, admission, storage, stack)
    return api, port


def _finish(committer: Committer, ownership: Ownership, lines: JsonLines) -> None:
    """Make everything durable, and report what is not: the next receiver then looks for files without a record."""
    durability = committer.close()
    if durability.problem:
        ownership.needs_recovery = True
        lines.tell(Ended(f"{durability.problem}. The next receiver of this folder records what is left"))
    elif durability.lost:
        lines.tell(Ended(durability.lost[0].problem))


def _listen(settings: Settings, port: int, admission: Admission, storage: Storage, stack: contextlib.ExitStack) -> int:
    wrap = server_side(settings.tls) if settings.tls else None
    try:
        listener = StorageServer(settings.host, port, settings.ae_title, admission, storage, settings.limits, wrap)
    except PermissionError as error:
        message = f"port {port}: this user may not listen there (below 1024, only an administrator may): choose another"
        raise ReceiverError(message) from error
    stack.callback(listener.close)
    return listener.port


def _answer_all(lines: JsonLines, api: Api, news: _News) -> None:
    for line in sys.stdin:
        request = read_request(line)
        if isinstance(request, Quit):  # a forked child of the parent may hold the other end of standard input open
            return
        if api.is_quick(request[1]):
            _answer(lines, api, news, *request)
        else:  # it waits for late instances, or for the disk
            try:
                threading.Thread(target=_answer, args=(lines, api, news, *request), daemon=True).start()
            except RuntimeError:  # the system allows no more threads: later requests wait for this one
                _answer(lines, api, news, *request)


def _answer(lines: JsonLines, api: Api, news: _News, number: int, request: Request[Any]) -> None:
    try:
        answer = api.answer(request)
        if isinstance(request, AwaitArrivals):  # the verdict on a row includes all refusals until now
            api.admission.wait_until_decided(_DECIDING_S)
            news.tell(Answered(number, answer))
        else:
            lines.tell(Answered(number, answer))
    except (OSError, sqlite3.Error, KeyError) as error:
        lines.tell(Answered(number, error=f"{type(error).__name__}: {error}"))
    except Exception as error:  # noqa: BLE001 (it is logged)
        # Without an answer, the other process would wait for ever.
        log_exception(logger, "a defect in dicomove; the receiver goes on", error)
        lines.tell(Answered(number, error="the receiver's process met a defect of dicomove, which is in the log"))


class _News:
    """Reports arrivals and refused peers since the last report."""

    def __init__(self, lines: JsonLines, api: Api) -> None:
        self._lines, self._api = lines, api
        self._lock = threading.Lock()
        self._reported: dict[RowId, tuple[int, int]] = {}
        self._unrequested = 0
        self._counted: dict[int, dict[str, int | None]] = {}

    def tell(self, answered: Answered | None = None) -> None:
        """Report now, and then send the answer, if one is given."""
        api = self._api
        with self._lock:
            now = api.tallies.progress(api.storage.coming())
            changed = [(*row, *numbers) for row, numbers in now.items() if self._reported.get(row) != numbers]
            self._reported = now
            refused = api.admission.refused()
            more, self._unrequested = api.storage.unrequested - self._unrequested, api.storage.unrequested
            counts = api.getter.counts()
            counted = [(number, latest) for number, latest in counts.items() if self._counted.get(number) != latest]
            self._counted = counts
            has_news = changed or refused or more or counted
            messages = [Progress(changed, refused, more, counted)] if has_news else []
            self._lines.tell(*messages, *([answered] if answered else []))

    def tell_on_and_on(self) -> None:
        """Report several times a second."""
        while True:
            time.sleep(_TELL_S)
            self.tell()


def _live(lines: JsonLines) -> None:
    """Give signs of life, in a thread that never waits for the disk."""
    while True:
        time.sleep(_SIGN_S)
        lines.tell(Alive())


def _die_with(parent: Process, ending: threading.Event) -> None:
    """End also if a forked child of the parent keeps standard input open. If it has ended, files are made durable."""
    adopted_by = os.getppid()
    while parent.is_alive is not False and os.getppid() == adopted_by:
        time.sleep(_PARENT_S)
    if ending.wait(_PARENT_S):
        time.sleep(_LONGEST_END_S)
    os._exit(1)
