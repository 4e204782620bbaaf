"""C-FIND for the rows of a table, level by level: complete answers, also from a PACS that limits them.

::

One `find`, from its table to its C-FINDs::

    run        one `find`: its associations, its journal and its rows
    rows       the rows in their order, on one association or several
    lists      rows that are asked together, as a list of UIDs
    row        the C-FINDs of one row, and its `Answer`
    asker      sends one C-FIND: with the delay, and not after a stop
    choice     ``matches=``: which of several studies a row means          (pure)
    loose      ``loose=``: accession numbers with other zeros or blanks    (pure)
    kept       ``journal=``: the answers of earlier runs
    table      the table of `find`

A complete answer from a PACS that limits its answers::

    whole            tests whether an answer is complete, and otherwise splits the search
    asked            the C-FINDs of one search, with all of their matches
    limits           the limits of a PACS, as far as a run has learnt them         (pure)
    hidden           detects empty answers that hide too many matches              (pure)
    days             splits a search by date and time
    spans            the spans of days and minutes into which it is split          (pure)
    date_knowledge   which spans to verify, and whether the PACS uses dates        (pure)
    texts            splits a search by the characters of PatientID and AccessionNumber
    below            the series of a study, the instances of a series
    numbers          splits these by modality and number
    levels           the attributes that split a search, by level                  (pure)
"""

from __future__ import annotations

from dicomove.search.choice import Choice, Matches
from dicomove.search.limits import may_be_cut
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
