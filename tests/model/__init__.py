"""What must hold of every `move`, whatever the table, the PACS and the moment of an interrupt: a model of the truth.

::

    words            of the standard and of dicomove; what the faults of a PACS do to them
    table            Cell, Row, Asked: what a table says, and what is meant by it
    world            World: what a PACS holds, what it was asked, what it answered, what arrived from it, and where
    run              Options, perform -> Run: one `move`, and when Ctrl-C is pressed
    expected         how a row reads, as far as the faults leave that open
    promises         what has to be true of a run: one function for each promise
    on_disk          likewise of a run into a `Receiver`
    every            which promises hold of which run
    search           likewise of a `find` of studies by their UID
    naming           likewise of a `find` by patient, accession number and date: what a row names, or nothing

The truth never comes from what is tested: an identifier is derived from what its cells mean, the counts are overheard
at the PACS's side of the association, and what arrived is looked for in folders. `tests/test_model.py` makes tables,
faults and interrupts at random. Another kind of destination is another way to ask a `World` what arrived; another
keyword of `move` is another field of `Options`; what either promises is another function among the promises.
"""
