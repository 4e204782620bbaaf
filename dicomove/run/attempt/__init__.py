"""One attempt of a task: its C-FINDs and C-MOVEs, what came, and how it ends. It knows nothing of the run.

These modules only decide::

    ends                     the ways in which an attempt ends, and the result of its row
    questions                the C-FINDs of `inventory`, and pauses for a PACS that does not answer them
    narrowing                the C-MOVEs for what is missing of a row; several C-MOVEs as one result; C-GET instead

These act::

    worker                   the whole attempt: asks what is there, moves, and compares what came
    patient_check            whose a study is: asks the PACS for the patient of a typed row, before it is moved
    inventory                how many instances are expected, and which: the policy of ``verify=``
    moves                    the C-MOVEs or C-GETs
    reconciliation           compares what was expected with what came and what is on disk
    archive_at_destination   what another archive at the destination has of a row
    counting                 how many instances a PACS has of a row, for `plan` and for limits
"""
