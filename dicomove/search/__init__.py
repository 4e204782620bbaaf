"""Sends the C-FINDs for the rows of a table, level by level; gets complete answers, also from a PACS that limits them.

One `find`, from its table to its C-FINDs::

    run              one `find`: its associations, its rows, and earlier answers
    tables           the table of `find`: a row for each match
    rows             the rows in their order, on one association or several
    lists            rows that are asked together, as a list of UIDs
    row              the C-FINDs of one row, and its `Answer`; asks the PACS about what a match leaves blank
    answers          compares an answer with the row that asked                (pure)
    c_find           sends one C-FIND: with the delay, and not after a stop
    choice           ``matches=`` and ``loose=``: which studies a row means    (pure)

A complete answer from a PACS that limits its answers::

    parts/           splits a search into parts, and verifies that none lacks a match
    limits           the limits of a PACS, as far as a run has learnt them     (pure)
"""

from __future__ import annotations

from dicomove.search.answers import DISTINGUISHING
from dicomove.search.choice import Choice, Matches, ask_loosely, checked_loose
from dicomove.search.limits import may_be_cut
from dicomove.search.row import Answer
from dicomove.search.run import SearchSettings, ask_rows
from dicomove.search.tables import found_table, patients_told

__all__ = [
    "DISTINGUISHING",
    "Answer",
    "Choice",
    "Matches",
    "SearchSettings",
    "ask_loosely",
    "ask_rows",
    "checked_loose",
    "found_table",
    "may_be_cut",
    "patients_told",
]
