"""The receiver: a Move Destination on this machine, in a process of its own, whose index says what is on disk.

::

    receiver, settings    the face: `Receiver`, and its arguments                           (the caller's process)
    studies               tells of each study that has come
    rows                  one row at its receiver, and all rows in flight; the peers that were turned away
    get                   `GetScu`: asks the process for a C-GET
    process               the receiver's process as its parent sees it: started, asked, ended
    supervision           it starts where folder and port are free, and again when it died
    api, lines            the requests and the answers of the two processes, and the lines that carry them
    main                  the process: what it is told, and what it tells                   (the receiver's process)
    server, admission     the port: which peers may connect, how many, for how long; the others get C-ECHO only
    getting               C-GET: what the PACS sends on the association that asks for it
    scp                   one association: C-STORE and C-ECHO
    incoming, scan        one instance while it comes: temporary file, hash, a look at its UIDs
    contents              whether a data set is what its transfer syntax says             (pure)
    storage, tallies      where an instance goes, and to which rows it belongs
    files, paths          the folder: temporary and final names, quarantine, what a process that died left there
    open_file             the file of an instance while it is open, the same on every system
    commit                what came is made durable, and written into the folder's index
    sparing               warnings that recur are in the log once a minute
    administration        what the PACS's administrator enters
"""

from dicomove.receiver.api import OtherPatient, Settled
from dicomove.receiver.get import GetScu
from dicomove.receiver.receiver import Receiver
from dicomove.receiver.rows import LocalRow, RowAtReceiver
from dicomove.receiver.settings import Limits
from dicomove.receiver.supervision import close_receivers

__all__ = [
    "GetScu",
    "Limits",
    "LocalRow",
    "OtherPatient",
    "Receiver",
    "RowAtReceiver",
    "Settled",
    "close_receivers",
]
