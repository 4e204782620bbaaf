"""The DICOM protocol: `MoveScu` and `FindScu`, over associations that never wait without a limit.

::

    transport      a TCP connection whose every wait has a limit and can be stopped
    pdu            PS3.8: association PDUs as bytes, read as far as dicomove uses them
    messages       PS3.7: command sets and identifiers as bytes
    association    PS3.8: negotiation, PDUs, release and abort, in one thread
    negotiation    the acceptor's side of it
    services       the SOP classes of Verification and Query/Retrieve
    link           one association at a time, reused while it is known to be clean
    scu            what both services share: C-ECHO, C-CANCEL, logging
    find, move     the services

Why `pynetdicom`'s associations are not used: docs/decisions/0001.
"""

from dicomove.dimse.find import EchoResult, FindResult, FindScu, attribute
from dicomove.dimse.move import MoveResult, MoveScu

__all__ = ["EchoResult", "FindResult", "FindScu", "MoveResult", "MoveScu", "attribute"]
