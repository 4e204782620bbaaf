"""What a run looks like in a notebook: one panel, drawn a few times a second, whose last state stays in the file.

::

    flights      the rows in flight, and how much there was lately  (pure)
    state        what is known of a run, folded from its events    (pure)
    rendering    what is said of it, as HTML, and as text           (pure)
    drawing      when it is drawn, and where; the buttons of a job
    progress     which display shows a run, and at what rate

The panel is HTML under one display id, and no widget: a widget's state is not in the notebook that papermill or
nbconvert save, and needs the network to be shown again. The buttons of a job are the only widgets.
"""

from dicomove.notebook.drawing import Job, JobPanel, PanelDisplay, in_notebook
from dicomove.notebook.flights import Flight
from dicomove.notebook.progress import Display, Phases, Progress, check_progress, display, job_display
from dicomove.notebook.rendering import size, to_html, to_text
from dicomove.notebook.state import PanelState

__all__ = [
    "Display",
    "Flight",
    "Job",
    "JobPanel",
    "PanelDisplay",
    "PanelState",
    "Phases",
    "Progress",
    "check_progress",
    "display",
    "in_notebook",
    "job_display",
    "size",
    "to_html",
    "to_text",
]
