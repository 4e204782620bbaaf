"""Presents results: a small table, pictures, a page for others, and a look at the images.

::

    table        a result table, or a journal's, in a form for counting
    flow         the number of rows at each step, with the reasons for losses; and as a picture
    summary      the numbers as a small table
    plots        a run as a picture (extra ``plot``)
    page         `report`: one self-contained HTML file, with a paragraph for a paper
    preview      a montage of what arrived (extra ``plot``); one image by its header, or why it cannot be shown
"""

from dicomove.report.page import report
from dicomove.report.plots import plot
from dicomove.report.preview import preview
from dicomove.report.summary import summary

__all__ = ["plot", "preview", "report", "summary"]
