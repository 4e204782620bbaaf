"""`doctor`: what works between this machine, a PACS and a destination, and what to do where it does not.

::

    evidence      what the probes saw, as frozen values
    probes        thin functions that ask the network
    connection    evidence -> rows, from the host name to C-FIND      (pure)
    destination   evidence -> rows of the destination                 (pure)
    examination   the probes in their order, and the table
"""

from dicomove.doctor.examination import doctor

__all__ = ["doctor"]
