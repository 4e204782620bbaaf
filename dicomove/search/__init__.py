"""C-FIND for the rows of a table: level by level, with all answers, and only those that were asked for.

::

    row        the C-FINDs of one row, and its `Answer`
    whole      all answers to one C-FIND, also where the PACS limits them
    asked      the C-FINDs of one search, and all that they brought
    days       a search in parts by date and time
    learnt     what the parts have told, and which of them are worth a proof  (pure)
    texts      a search in parts by the characters of PatientID and AccessionNumber
    below      the series of a study, the instances of a series
    numbers    these by modality and number
    levels     by what a search at each level is cut                      (pure)
    pieces     how a search is cut into parts                             (pure)
    caps       what was learnt about the PACS
    hidden     searches that a PACS answers with nothing, since they match too much   (pure)
    choice     which of several studies a row means                       (pure)
    loose      accession numbers with other zeros or blanks               (pure)
    lists      rows that can be asked for at once, as a list of UIDs; one by one where that fails
    asker      one C-FIND: not too often, and not after the run was stopped
    rows       the rows in their order, on one association or several
    kept       the answers of earlier runs
    run        one `find`
    table      the table of what was found
"""

from __future__ import annotations

from dicomove.search.caps import may_be_cut
from dicomove.search.choice import Choice, Matches
from dicomove.search.loose import ask_loosely, checked_loose
from dicomove.search.row import Answer, Search, find_outcome
from dicomove.search.run import Settings, ask_rows
from dicomove.search.table import found_table

__all__ = [
    "Answer",
    "Choice",
    "Matches",
    "Search",
    "Settings",
    "ask_loosely",
    "ask_rows",
    "checked_loose",
    "find_outcome",
    "found_table",
    "may_be_cut",
]
