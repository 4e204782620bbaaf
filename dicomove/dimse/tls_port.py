"""Whether a port speaks TLS that ended a connection without a word of DICOM.

What comes to an A-ASSOCIATE-RQ without TLS depends on the program behind the port. Java (dcm4chee) sends a TLS alert,
which `fragments` knows. Orthanc and DCMTK close or reset the connection, as PACS do to AE titles that they do not know.
The answer to a ClientHello tells the two apart, also where the PACS would refuse our certificate.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import Final

from dicomove.dimse.connection import Check, Connection, Deadline, Deadlines
from dicomove.dimse.fragments import is_tls_record
from dicomove.errors import AssociationError, AssociationTimeout
from dicomove.pacs import Pacs

_LONGEST_S: Final = 3.0
#: A PACS that drops our connections is not asked anew each time: nothing is known to change so fast.
_ASKED_AGAIN_AFTER_S: Final = 60.0
_RECORD_HEADER_BYTES: Final = 5
#: When a port was asked that did not speak TLS, on the monotonic clock.
_asked: dict[tuple[str, int], float] = {}


def speaks_tls(pacs: Pacs, check: Check | None = None) -> bool:
    """Return whether the port of a PACS answers a ClientHello with TLS.

    Parameters
    ----------
    pacs
        The PACS.
    check
        Called at every turn of a wait.
    """
    try:
        return is_tls_record(_answer_to_client_hello(pacs, check))
    except AssociationError:
        if check:
            check()  # a cancel, say, is no answer
        return False


def wanted_tls(pacs: Pacs, check: Check | None = None) -> bool:
    """Return whether a port that ended a connection without TLS speaks TLS; asked at most once a minute."""
    place = (pacs.host, pacs.port)
    if time.monotonic() < _asked.get(place, -_ASKED_AGAIN_AFTER_S) + _ASKED_AGAIN_AFTER_S:
        return False
    if speaks_tls(pacs, check):
        return True
    _asked[place] = time.monotonic()
    return False


def _answer_to_client_hello(pacs: Pacs, check: Check | None) -> bytes:
    """Return the first bytes of the answer."""
    seconds = min(pacs.association_timeout or _LONGEST_S, _LONGEST_S)
    deadlines = Deadlines(Deadline(seconds, AssociationTimeout, "the TLS handshake"), check=check)
    connection = Connection.open(pacs.host, pacs.port, seconds, check)
    answer = bytearray()
    try:
        connection.send(_client_hello(), deadlines)
        space = memoryview(bytearray(_RECORD_HEADER_BYTES))
        while len(answer) < _RECORD_HEADER_BYTES:
            count = connection.receive(space, deadlines)
            answer += space[:count]
    finally:
        connection.close()
    return bytes(answer)


def _client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()
