"""`doctor`: runs the probes in their order, and makes the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove.destination import Destination
from dicomove.dimse.presentation_contexts import FIND, MOVE
from dicomove.doctor import connection, destination, probes
from dicomove.doctor.evidence import KEYS_IGNORED, CheckRow, Evidence
from dicomove.pacs import Pacs, ae_title, check_pacs
from dicomove.receiver import Receiver

#: The checks of the table, in this order: each makes one row.
_RULES: Final[tuple[Callable[[Evidence], CheckRow], ...]] = (
    connection.host_name,
    connection.port,
    connection.tls,
    connection.association,
    connection.find_offered,
    connection.move_offered,
    connection.get_offered,
    connection.echo,
    connection.find,
    connection.counts,
    connection.character_set,
    connection.limit,
    destination.known,
    destination.asked,
    destination.one_instance,
    destination.connection_back,
)
_COLUMNS: Final = ("check", "verdict", "found", "remedy")


def doctor(
    pacs: Pacs, destination: str | Receiver | Destination | None = None, *, move_one: bool = False
) -> pd.DataFrame:
    """Examine the connection to a PACS and to a destination, with a remedy for each problem.

    It moves nothing, unless `move_one` is true. It searches for a study that cannot exist, and for at most about 1,000
    studies of any date. The table contains no values of patients.

    Parameters
    ----------
    pacs
        The PACS.
    destination
        An AE title that the PACS knows, a `Receiver`, or a `Destination`.
    move_one
        Move one instance to the destination. Only this shows whether the PACS reaches the destination.

    Returns
    -------
    pandas.DataFrame
        One row per check: ``check``, ``verdict`` (``"ok"``, ``"warning"``, ``"failed"``, or ``"skipped"``), ``found``,
        and ``remedy``, which is null if there is nothing to do.

    Raises
    ------
    AddressError
        `destination` is not an AE title, or the passcode or token of the user cannot be found.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> with demo_pacs() as pacs:
    ...     found = doctor(pacs, "UNKNOWN_AE").set_index("check")
    >>> found.loc["destination", "verdict"], found.loc["destination", "found"]
    ('failed', 'The PACS does not know the AE title UNKNOWN_AE.')
    """
    check_pacs(pacs)
    if isinstance(destination, Destination):
        seen = _examine(pacs, destination.ae_title, move_one=move_one)
        answer, matches = probes.search_without_match(destination.ask)
        seen = replace(seen, archive=destination.ask, at_archive=answer, archive_matches=matches)
    else:
        seen = _examine(pacs, destination, move_one=move_one)
    rows = [rule(seen) for rule in _RULES]
    return pd.DataFrame({name: pd.Series([getattr(row, name) for row in rows], dtype="str") for name in _COLUMNS})


def _examine(pacs: Pacs, given: str | Receiver | None, *, move_one: bool) -> Evidence:
    if isinstance(given, Receiver) and not given.listens:
        given = None  # the PACS cannot move to it; another check tests whether the PACS offers C-GET
    seen = Evidence(pacs, asked_to_move=move_one and given is not None)
    if isinstance(given, Receiver):
        host, port = given.address_for(pacs)
        problem = given.runs.reach_problem(pacs.host)
        seen = replace(seen, destination=given.ae_title, receiver_host=host, receiver_port=port, reach_problem=problem)
    elif given is not None:
        seen = replace(seen, destination=ae_title(given, "destination"))
    seen = replace(seen, addresses=probes.addresses(pacs))
    if not seen.addresses:
        return seen
    state, own = probes.port(pacs)
    seen = replace(seen, port=state, own_address=own)
    if state != "open":
        return seen
    answer, offered = probes.offered(pacs)
    seen = replace(seen, association=answer)
    if answer.error == "association_rejected":
        return replace(seen, titles_accepted=probes.titles_in_other_case(pacs))
    if answer.error:
        return replace(seen, language=probes.language(pacs))
    return _asked(replace(seen, offered=offered), given)


def _asked(seen: Evidence, given: str | Receiver | None) -> Evidence:
    """Ask for the services that the PACS offers."""
    pacs, offered = seen.pacs, seen.offered or frozenset()
    studies: tuple[dict[str, str], ...] = ()
    seen = replace(seen, echo=probes.echo(pacs))
    if FIND["StudyRoot"] in offered:
        found, studies = probes.search(pacs)
        seen = replace(seen, search=found)
    if given is None or MOVE["StudyRoot"] not in offered:
        return seen
    if seen.search and seen.search.control_matches:
        return seen  # the PACS ignores keys: a move could bring its whole archive
    answer, nowhere, accepted = probes.known(pacs, seen.destination or "")
    seen = replace(seen, to_destination=answer, to_nowhere=nowhere, destination_accepted=accepted)
    is_useless = answer.error in ("destination_unknown", KEYS_IGNORED)
    return _moved(seen, given, studies) if seen.asked_to_move and not is_useless else seen


def _moved(seen: Evidence, given: str | Receiver, studies: tuple[dict[str, str], ...]) -> Evidence:
    """Move one instance, and look for it at the receiver."""
    instance = probes.an_instance(seen.pacs, studies)
    if instance is None:
        return seen
    before = _refused(given) if isinstance(given, Receiver) else Counter()
    times = probes.times_received(given, instance) if isinstance(given, Receiver) else 0
    seen = replace(seen, has_instance=True, moved=probes.moved(seen.pacs, instance, given))
    if not isinstance(given, Receiver):
        return seen
    arrival = probes.arrival(given, instance, times) if seen.moved and seen.moved.error is None else None
    return replace(seen, arrival=arrival, refused=tuple(sorted(_refused(given) - before)))


def _refused(receiver: Receiver) -> Counter[str]:
    """Return the addresses that the receiver refused, with the number of their connections."""
    refused = receiver.refused
    return Counter(dict(refused.groupby("address")["count"].sum()))
