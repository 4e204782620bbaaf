"""No other patient's images: what may arrive for a cohort, however its cells, its file and the answers are damaged.

::

    archive     an archive in which most patients are in no cohort, and look like those that are
    meaning     what a person reads in a cell, and which patients a row of such cells names: the oracle
    damage      what spreadsheets, databases and people do to a cell, each with its meaning
    cohorts     tables of such cells, as a DataFrame, as CSV and as XLSX
    typed       tables of typed UIDs, which no search has compared with the PACS
    arrival     `read_cohort`, `find`, `move` and `retrieve` into a `Receiver`, and whose images are on disk then

The oracle never asks the product what a header or a cell means: it knows what it has written itself.
"""
