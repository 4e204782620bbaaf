"""What runs in the receiver's own process, which has no pandas: from the port to the files and their index.

`receiver.main` starts it.

From a connection to an instance::

    server                  the port: accepts connections, within the limits
    scp                     one association: C-STORE and C-ECHO
    c_get                   C-GET: the PACS sends on the association of the request
    incoming                one instance while it comes: temporary file, and values of its data set
    scan                    finds the UIDs in the bytes of a data set
    transfer_syntax_check   whether a data set contradicts its transfer syntax, or lacks its pixel data    (pure)

From an instance to a durable file::

    storage                 decides where an instance goes: folder or quarantine, and the Status
    tallies                 counts the arrivals of each row
    open_file               a file that one thread writes while another one reads and hashes it
    commit                  makes files durable, and writes them to the folder's index
    stored_file             reads a file of the folder again: its keys, its hash, and whether it is whole
    recovery                after a kill or a power cut: records complete files, and puts spoilt ones aside

Answers to the caller's process::

    answers                 answers the requests of `receiver.api`
"""
