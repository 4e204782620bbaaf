"""Splits a search into parts where a PACS limits the number of its matches, and verifies that no part lacks any.

::

    capped            gets all matches of one search
    hidden_matches    the C-FINDs of one search with all of their matches, and the attributes that split it
    by_date           splits by date and time
    by_text           splits by the characters of an attribute: PatientID, AccessionNumber, StudyID
    by_number         the series of a study and the instances of a series, by their numbers
    cutter            chooses the spans of a search by date so that each fits into one answer    (pure)
    spans             days, and minutes of one day    (pure)
"""
