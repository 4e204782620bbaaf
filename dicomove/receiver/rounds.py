"""Which contexts a C-GET proposes in each round, for what did not come in the rounds before. Pure.

An association has at most 128 contexts, so a study with many classes needs several. A PACS takes one transfer syntax of
each context, so each syntax is proposed alone in the end. And some PACS send every instance of a class in its first
context (DCMTK's dcmqrscp): then the others fail, although contexts for them were accepted, until one comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom import uid

from dicomove.dimse.storage_contexts import MOST_CONTEXTS, STORED_SYNTAXES, storage_contexts

Contexts = list[tuple[str, Sequence[str]]]
#: A PACS writes each of them in every other.
_UNCOMPRESSED = {
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
}


class Rounds:
    """The rounds of one C-GET.

    Parameters
    ----------
    classes
        The SOP classes that there are.

    Attributes
    ----------
    accepted
        What the PACS accepted, as pairs of SOP class and transfer syntax.
    """

    def __init__(self, classes: Iterable[str]) -> None:
        self._classes = list(dict.fromkeys(classes))
        self._waiting = list(self._classes)
        self.accepted: dict[tuple[str, str], None] = {}
        self._proposed: set[tuple[str, str]] = set()
        self._were_first: set[tuple[str, str]] = set()

    @property
    def has_further_classes(self) -> bool:
        """Whether there are classes that had no room until now."""
        return bool(self._waiting)

    @property
    def takes_uncompressed_only(self) -> bool:
        """Whether the PACS accepted no context for compressed instances."""
        return bool(self.accepted) and all(syntax in _UNCOMPRESSED for _, syntax in self.accepted)

    def next(self) -> Contexts | None:
        """Return what to propose now, or ``None`` where everything was tried."""
        contexts = self._of_further_classes() or self._not_yet_alone() or self._not_yet_first()
        self._proposed |= {(sop_class, syntaxes[0]) for sop_class, syntaxes in contexts if len(syntaxes) == 1}
        return contexts or None

    def negotiated(self, contexts: Iterable[tuple[str, str]]) -> None:
        """Learn what the PACS accepted of a round, in the order of the contexts."""
        first: dict[str, str] = {}
        for sop_class, syntax in contexts:
            self.accepted[sop_class, syntax] = None
            first.setdefault(sop_class, syntax)
        for sop_class, syntax in first.items():
            alike = _UNCOMPRESSED if syntax in _UNCOMPRESSED else {syntax}
            self._were_first |= {(sop_class, one) for one in alike}

    def _of_further_classes(self) -> Contexts:
        now, self._waiting = self._waiting[:MOST_CONTEXTS], self._waiting[MOST_CONTEXTS:]
        return storage_contexts(now)

    def _not_yet_alone(self) -> Contexts:
        pairs = [(sop_class, syntax) for syntax in STORED_SYNTAXES for sop_class in self._classes]
        left = [pair for pair in pairs if pair[1] not in _UNCOMPRESSED and pair not in self._proposed]
        return [(sop_class, [syntax]) for sop_class, syntax in left[:MOST_CONTEXTS]]

    def _not_yet_first(self) -> Contexts:
        left = [pair for pair in self.accepted if pair not in self._were_first]
        syntax = next((syntax for syntax in STORED_SYNTAXES if any(syntax == other for _, other in left)), None)
        return [(sop_class, [syntax]) for sop_class, other in left if other == syntax]
