"""Speaks the DICOM protocol: `MoveScu` and `FindScu` use associations that never wait without a time limit.

::

    pdu           PS3.8: PDUs and fragments of P-DATA, from and to bytes                  (without I/O)
    associate     PS3.8: A-ASSOCIATE-RQ and A-ASSOCIATE-AC, from and to bytes             (without I/O)
    messages      PS3.7: command sets as bytes, messages from fragments                   (without I/O)
    data_sets     PS3.5: data sets and identifiers as bytes; the File Meta Information    (without I/O)
    state         the legal transitions of an association, as a table                     (without I/O)
    deadlines     points in time after which a wait ends with an error
    connection    a TCP connection with deadlines: TCP_NODELAY, TCP_QUICKACK, TLS
    association   sends and receives messages on an association, on both sides; blocks until they are there
    opening       opens or accepts an association; explains why that failed
    presentation_contexts   the contexts that dicomove proposes: services, and storage for C-GET      (without I/O)
    operation     one request and its responses
    reusable_association    the association of an SCU: kept for the next request while it is clean
    scu           shared by `FindScu` and `MoveScu`: C-ECHO, C-CANCEL, logging
    find          `FindScu`: C-FIND
    move          `MoveScu`: C-MOVE
    move_result   `MoveResult`: of one C-MOVE or C-GET; its events
    charset       decodes the text of a peer, whatever character set it declares

docs/decisions/0001 says why dicomove does not use the associations of pynetdicom.
"""

from dicomove.dimse.find import FindResult, FindScu, attribute
from dicomove.dimse.move import MoveScu
from dicomove.dimse.move_result import MoveResult
from dicomove.dimse.reusable_association import ReusableAssociation
from dicomove.dimse.scu import EchoResult

__all__ = ["EchoResult", "FindResult", "FindScu", "MoveResult", "MoveScu", "ReusableAssociation", "attribute"]
