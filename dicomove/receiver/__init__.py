"""Receives images: a Move Destination on this machine, in a process of its own, with an index of the files on disk.

In the caller's process::

    receiver                `Receiver`: its arguments, its tables
    runs                    what a run asks of its receiver
    settings                checks the arguments; `Limits`
    pacs_entry              the entry for the receiver that a PACS needs: AE title, host, port
    studies                 ``on_study=``: reports each study that has come
    rows                    opens a row at its receiver, and waits for its instances; all rows in flight; refused peers
    get_scu                 `GetScu`: asks the process for a C-GET
    process                 starts the receiver's process, asks it, ends it
    supervision             starts the process when folder and port are free, and again when it died
    api                     the requests to the process, and its answers
    lines                   the lines of JSON between the two processes: reads and writes them

In the receiver's process::

    main                    the main loop: reads requests, reports progress
    api_in_receiver         answers the requests of `api`
    server                  the port: accepts connections, within the limits
    admission               ``allow=``: which peers may connect; the others get C-ECHO only
    scp                     one association: C-STORE and C-ECHO
    get_in_receiver         C-GET: the PACS sends on the association of the request
    incoming                one instance while it comes: temporary file, and values of its data set
    open_file               a file that one thread writes while another one reads and hashes it
    scan                    finds the UIDs in the bytes of a data set
    transfer_syntax_check   whether a data set contradicts its transfer syntax, or lacks its pixel data    (pure)
    storage                 decides where an instance goes: folder or quarantine, and the Status
    tallies                 counts the arrivals of each row
    placing                 ``existing=``: final names, duplicates, quarantine; ``min_free=``: the free space
    own_paths               whether the receiver may have given a path to a file      (pure)
    recovery                after a kill or a power cut: records complete files, and puts spoilt ones aside
    stored_file             reads a file of the folder again: its keys, its hash, and whether it is whole
    paths                   ``path=``: the template, and safe names
    commit                  makes files durable, and writes them to the folder's index
"""

from dicomove.receiver.api import Durability, LostFile, OtherPatient, ReceivedRow, RowId
from dicomove.receiver.get_scu import GetScu
from dicomove.receiver.receiver import Receiver
from dicomove.receiver.rows import AskedRow, LocalRow, RowAtReceiver
from dicomove.receiver.settings import Limits, kept_arguments
from dicomove.receiver.supervision import close_receivers

__all__ = [
    "AskedRow",
    "Durability",
    "GetScu",
    "Limits",
    "LocalRow",
    "LostFile",
    "OtherPatient",
    "ReceivedRow",
    "Receiver",
    "RowAtReceiver",
    "RowId",
    "close_receivers",
    "kept_arguments",
]
