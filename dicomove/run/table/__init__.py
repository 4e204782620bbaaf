"""From the rows of a table to the tasks of a run. Pure: no network, disk, clock or thread.

::

    cells          further columns of a table: expected, patients, availability, SOP classes; those of paths
    patients       compares the patient and accession number of a row with those of the PACS
    shared_rows    which rows share one C-MOVE: those with the same identifier that name the same patient
    tasks          from rows to tasks: one for each identifier; what a plan and limits leave out, their order
    planned        the table of `plan`: actions, numbers of instances, advice
    estimates      the bytes and seconds of a plan, and the nights that it needs
"""
