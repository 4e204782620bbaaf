"""The displays of a run: a panel in a notebook, whose last state is saved with the notebook, or a bar elsewhere.

::

    progress         ``progress=``: chooses a panel, a bar or a callback
    state            the state of the panel, from the events of a run                 (pure)
    rows_in_flight   the rows in flight in that state, and samples for rates          (pure)
    rendering        the panel as HTML and as text                                    (pure)
    drawing          draws the panel at most five times a second; the buttons of a job

The panel is HTML under one display id and not a widget: papermill and nbconvert do not save the state of widgets, and
widgets need the network to be shown again. Only the buttons of a job are widgets.
"""

from dicomove.notebook.drawing import JobPanel, PanelDisplay
from dicomove.notebook.progress import Display, Phases, Progress, check_progress, display, job_display
from dicomove.notebook.rendering import size, to_html, to_text
from dicomove.notebook.state import PanelState

__all__ = [
    "Display",
    "JobPanel",
    "PanelDisplay",
    "PanelState",
    "Phases",
    "Progress",
    "check_progress",
    "display",
    "job_display",
    "size",
    "to_html",
    "to_text",
]
