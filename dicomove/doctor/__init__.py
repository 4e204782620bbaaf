"""`doctor` tests the connection to a PACS and from there to a destination, and names a remedy for each problem.

::

    evidence      the results of the probes, as frozen values
    probes        functions that test the network and the PACS
    connection    makes rows of the evidence about the PACS, from the host name to C-FIND    (pure)
    destination   makes rows of the evidence about the destination                           (pure)
    examination   runs the probes in their order, and makes the table
"""

from dicomove.doctor.examination import doctor

__all__ = ["doctor"]
