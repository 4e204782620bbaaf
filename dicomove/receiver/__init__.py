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

In both::

    api                     the requests to the receiver's process, and its answers
    lines                   the lines of JSON between the two processes: reads and writes them
    admission               ``allow=``: which peers may connect; the others get C-ECHO only
    paths                   ``path=``: the template, and safe names
    own_paths               whether the receiver may have given a path to a file      (pure)
    placing                 ``existing=``: final names, duplicates, quarantine; ``min_free=``: the free space

In the receiver's process::

    main                    the main loop: reads requests, reports progress
    own_process/            all that `main` starts: from the port to the files and their index
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
