"""Opens an association with a PACS: connection, TLS, negotiation, and what it means where one of them fails."""

from __future__ import annotations

from collections.abc import Sequence

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Check, Connection, Deadline, Deadlines
from dicomove.dimse.fragments import TLS_SPOKEN
from dicomove.dimse.tls_port import wanted_tls
from dicomove.errors import AssociationRejected, AssociationTimeout, ConnectionLost, TlsFailed
from dicomove.pacs import Pacs
from dicomove.tls import Wrap

Proposed = Sequence[tuple[str, Sequence[str]]]
Identity = tuple[int, bytes, bytes]


def open_association(
    pacs: Pacs,
    proposed: Proposed,
    wrap: Wrap | None,
    user: Identity | None,
    check: Check | None = None,
    scp_of: Sequence[str] = (),
) -> Association:
    """Return a new association.

    Parameters
    ----------
    pacs
        The PACS.
    proposed
        Abstract syntaxes, each with its transfer syntaxes.
    wrap
        Makes a TLS socket of one, if the PACS speaks TLS.
    user
        Type, primary and secondary field of the user identity.
    check
        Called at every turn of a wait.
    scp_of
        The abstract syntaxes of which we want to be the SCP.

    Raises
    ------
    AssociationError
        There is no association.
    """
    connection = Connection.open(pacs.host, pacs.port, pacs.connect_timeout, check)
    deadlines = Deadlines(Deadline(pacs.association_timeout, AssociationTimeout, "A-ASSOCIATE"), check=check)
    try:
        if wrap:
            connection.secure(wrap, deadlines)
        return _requested(connection, pacs, proposed, user, deadlines, scp_of, check)
    except BaseException:
        connection.close()
        raise


def _requested(
    connection: Connection,
    pacs: Pacs,
    proposed: Proposed,
    user: Identity | None,
    deadlines: Deadlines,
    scp_of: Sequence[str],
    check: Check | None,
) -> Association:
    try:
        return Association.request(
            connection,
            called_ae_title=pacs.called_ae_title,
            calling_ae_title=pacs.calling_ae_title,
            max_pdu_length=pacs.max_pdu_length,
            proposed=proposed,
            deadlines=deadlines,
            user=user,
            scp_of=scp_of,
        )
    except AssociationRejected as rejected:
        message = f"{rejected}: we called {pacs.called_ae_title!r} as {pacs.calling_ae_title!r}"
        if user:
            message += ", and named a user, whom it may have refused"
        raise AssociationRejected(message, permanent=rejected.permanent) from rejected
    except TlsFailed:
        raise
    except ConnectionLost as lost:
        if pacs.tls is None and wanted_tls(pacs, check):
            raise TlsFailed(TLS_SPOKEN, permanent=True) from lost
        message = f"{lost} instead of an answer to A-ASSOCIATE-RQ"
        raise ConnectionLost(message if pacs.tls is None else str(lost)) from lost
