"""How dicomove writes into logs: exceptions without their texts, and the same warning at most once a minute."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

#: Seconds until the same warning is written again: a full disk would write thousands.
_PAUSE_S: Final = 60


def log_exception(logger: logging.Logger, message: str, error: BaseException) -> None:
    """Log an exception with its kind and traceback.

    Its text is left out: it may name a patient (``KeyError: '000123'``), and a log must not.
    """
    lines = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s\n%s%s (its text may name a patient, and is left out)", message, lines, type(error).__name__)


class SparingLog:
    """Writes a warning, and writes it again only after a pause, with the number of omitted ones.

    Parameters
    ----------
    logger
        The logger.
    clock
        Returns the time in seconds.

    Examples
    --------
    >>> times = iter([0, 1, 2, 61])
    >>> log = SparingLog(logging.getLogger("dicomove.example"), lambda: next(times))
    >>> log.warning("the disk is full"), log.warning("the disk is full")
    (True, False)
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._lock = threading.Lock()
        self._written: dict[object, tuple[float, int]] = {}

    def warning(self, text: str, kind: object = None) -> bool:
        """Write a warning, unless the same one (or one of its kind) was written a moment ago; return whether it was."""
        key = kind or text
        now = self._clock()
        with self._lock:
            at, left_out = self._written.get(key, (-math.inf, 0))
            is_due = now - at >= _PAUSE_S
            self._written[key] = (now, 0) if is_due else (at, left_out + 1)
        if is_due:
            self._logger.warning("%s%s", text, f" ({left_out:,} more times since the last line)" if left_out else "")
        return is_due
