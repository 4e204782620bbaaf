"""The receiver: a Move Destination on this machine, in a process of its own, whose index says what is on disk.

::

    receiver, arguments   the face: `Receiver`                                              (the caller's process)
    reception, flights    one row while it is received, and all of them
    supervision           the process goes on: it is started again where it died
    handle, start         the process, as its parent sees it
    process, settings     the process: what it is told, and what it tells
    listener, admission   the port: who may connect, how many, for how long
    conversation, stream  one association: C-STORE and C-ECHO, and the straight path for P-DATA
    incoming, skim, meta  one instance while it comes: temporary file, hash, a look at its UIDs
    storage, accounts     what becomes of it, and to which rows it belongs
    shelf, paths          the folder: final names, quarantine
    keeper, recovery      what came is made durable, and written into the folder's index
    administration        what the PACS's administrator enters
"""

from dicomove.receiver.receiver import Receiver
from dicomove.receiver.reception import OtherPatient, Reception, Settled
from dicomove.receiver.settings import Limits
from dicomove.receiver.supervision import close_receivers

__all__ = [
    "Limits",
    "OtherPatient",
    "Receiver",
    "Reception",
    "Settled",
    "close_receivers",
]
