"""``method="auto"``: whether a run uses C-MOVE or C-GET. Pure."""

from __future__ import annotations

from typing import Literal

from dicomove.run.attempt import Moved
from dicomove.run.narrowing import cannot_move
from dicomove.run.options import Method


class MethodChoice:
    """The method of a run, as far as its rows have shown which one works.

    Parameters
    ----------
    method
        C-MOVE, C-GET, or ``"auto"``: C-MOVE until a row shows that it cannot work, and C-GET from then on if the PACS
        offers it.

    Attributes
    ----------
    now
        The method of the rows that begin now.
    """

    def __init__(self, method: Method) -> None:
        self.now: Literal["move", "get"] = "get" if method == "get" else "move"
        #: C-MOVE may become C-GET, and then C-MOVE again.
        self._may_change = self._may_return = method == "auto"

    def repeats(self, method: Literal["move", "get"], moved: Moved) -> bool:
        """Take note of an attempt with a method; return whether its row is tried again at once, with the other one."""
        return self._after_get(moved) if method == "get" else self._after_move(moved)

    def _after_move(self, moved: Moved) -> bool:
        is_vain = cannot_move(moved.result)
        if self._may_change:
            self._may_change = not (is_vain or moved.result.evidence.arrivals)
            self.now = "get" if is_vain else "move"
        return self.now == "get" and is_vain

    def _after_get(self, moved: Moved) -> bool:
        evidence = moved.result.evidence
        # A refusal before the request, and not for good, is about the SOP classes of this row only.
        is_of_pacs = evidence.permanent or evidence.sent
        is_vain = self._may_return and is_of_pacs and moved.result.error == "not_supported"
        if is_vain:
            self.now = "move"
        self._may_return &= not evidence.arrivals
        return is_vain
