"""The DICOM protocol: `MoveScu` and `FindScu`, over associations that never wait without a limit.

::

    fragments         PS3.8: PDUs out of a stream of bytes, P-DATA both ways                              (without I/O)
    pdu               PS3.8: the PDUs of A-ASSOCIATE, read as far as dicomove uses them                   (without I/O)
    messages          PS3.7: command sets as bytes, messages out of fragments                            (without I/O)
    data_sets         PS3.5: data sets as bytes, identifiers among them, and what a file begins with      (without I/O)
    state             what may come next on an association, as a table                                   (without I/O)
    connecting        the first address of a host that answers
    connection        a TCP connection whose every wait has a deadline and can be stopped
    association       drives the above, blocking, on both sides
    opening           how an association begins, on both sides, and what it means where that fails
    sop_classes       what is proposed: the services, and what may come back of a C-GET
    operation         one request and its responses; one association, used again while it is known to be clean
    scu               shared by both services: C-ECHO, C-CANCEL, logging
    find, move        the services
    charset           text of a peer as what its bytes are

Why `pynetdicom`'s associations are not used: docs/decisions/0001.
"""

from dicomove.dimse.find import EchoResult, FindResult, FindScu, attribute
from dicomove.dimse.move import MoveResult, MoveScu

__all__ = ["EchoResult", "FindResult", "FindScu", "MoveResult", "MoveScu", "attribute"]
