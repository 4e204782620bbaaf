"""Decides which faults affect a request, and applies several faults as one."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from pydicom import Dataset

from dicomove.dimse.associate import AssociateRequest
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Request, Response


class Injector:
    """Decides which faults affect which request.

    Parameters
    ----------
    faults
        All faults of the PACS.
    seed
        The seed of the probabilities.
    """

    def __init__(self, faults: Sequence[Fault] = (), seed: int = 0) -> None:
        self.faults = tuple(faults)
        self._random = random.Random(seed)
        self._attempts: Counter[tuple[object, ...]] = Counter()
        self._associations = 0
        self._lock = threading.Lock()

    def enter(self, open_associations: int) -> None:
        """See a requested association, while this number of associations is open."""
        for fault in self._affecting(self._associations + 1):
            fault.on_association(open_associations)
        with self._lock:
            self._associations += 1

    def associate(self, request: AssociateRequest | None, sent: bytes) -> bytes:
        """Return the bytes to send instead of A-ASSOCIATE-AC or A-ASSOCIATE-RQ."""
        for fault in self._affecting(self._associations):
            sent = fault.on_associate(request, sent)
        return sent

    def _affecting(self, association: int) -> Iterator[Fault]:
        """Yield the faults that affect an association, by its number from 1."""
        for fault in self.faults:
            with self._lock:
                is_drawn = self._random.random() < fault.probability
            if is_drawn and association <= (fault.attempts or math.inf):
                yield fault

    @property
    def speaks_tls(self) -> bool:
        """Whether the PACS speaks TLS if it has a certificate."""
        return all(fault.speaks_tls for fault in self.faults)

    @property
    def max_pdu_length(self) -> int:
        """The longest PDU that the PACS receives; 0 means no limit."""
        return next((length for fault in self.faults if (length := fault.max_pdu_length())), 0)

    def attempt(self, command: str, keys: Mapping[str, str]) -> int:
        """Count one more request of this command with these keys."""
        with self._lock:
            self._attempts[command, *sorted(keys.items())] += 1
            return self._attempts[command, *sorted(keys.items())]

    def concerning(self, request: Request) -> Chain:
        """Return the faults that affect this request."""
        with self._lock:
            chosen = [
                fault for fault in self.faults if fault.concerns(request) and self._random.random() < fault.probability
            ]
        return Chain(tuple(chosen), request)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several faults as one, for one request."""

    faults: tuple[Fault, ...]
    request: Request

    def begin(self) -> None:
        """See the request."""
        for fault in self.faults:
            fault.on_request(self.request)

    def matches(self, identifier: Dataset, query_model: str) -> list[Dataset]:
        """Return the matches after all faults."""
        for fault in self.faults:
            fault.on_query(self.request, identifier)
        limits = [most for fault in self.faults if (most := fault.most_matches(self.request)) is not None]
        found = list(islice(self.request.archive.find(identifier, query_model), min(limits, default=None)))
        for fault in self.faults:
            found = fault.on_matches(self.request, found)
        return found

    def selection(self, instances: list[Instance]) -> list[Instance]:
        """Return the selected instances after all faults."""
        for fault in self.faults:
            instances = fault.on_selection(self.request, instances)
        return instances

    def sent_for(self, instance: Instance) -> list[Instance]:
        """Return the instances to send for an instance."""
        sent = [instance]
        for fault in self.faults:
            sent = [changed for one in sent for changed in fault.on_store(self.request, one)]
        return sent

    def counted(self, instance: Instance, status: int) -> int:
        """Return the status that counts for an instance."""
        for fault in self.faults:
            status = fault.on_stored(self.request, instance, status)
        return status

    def responses(self, response: Response) -> Iterable[Response]:
        """Return the responses to send for a response; they may have no end."""
        found: Iterable[Response] = [response]
        for fault in self.faults:
            found = chain.from_iterable(map(partial(fault.on_response, self.request), found))
        return found

    def honours_cancel(self) -> bool:
        """Whether the PACS honours a C-CANCEL."""
        return all(fault.on_cancel(self.request) for fault in self.faults)

    @property
    def final_first(self) -> bool:
        """Whether the answer comes before the stores."""
        return any(fault.final_first for fault in self.faults)

    @property
    def association_per_instance(self) -> bool:
        """Whether each instance has a separate association."""
        return any(fault.association_per_instance for fault in self.faults)

    @property
    def match_on_success(self) -> bool:
        """Whether the last match comes with the final response."""
        return any(fault.match_on_success for fault in self.faults)
