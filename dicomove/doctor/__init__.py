"""`doctor` examines the way from this machine to a PACS and on to a destination, and gives a remedy for each problem.

::

    evidence      the results of the probes, as frozen values
    probes        functions that test the network and the PACS
    connection    evidence -> rows, from the host name to C-FIND      (pure)
    destination   evidence -> rows of the destination                 (pure)
    examination   runs the probes in their order, and makes the table
"""

from dicomove.doctor.examination import doctor

__all__ = ["doctor"]
