"""The commands of the shell: the twins of the functions. Standard output has the tables, standard error the rest.

::

    parser       the arguments of every command, with its help
    arguments    the arguments that commands share
    tables       the table that a command is given: a file, or standard input
    commands     the commands that speak with a PACS
    tools        the commands that need none of the user's: the demo, receiving, images that are there
    output       the table for a person, for a file, or for the next program of a pipe
    main         runs one command, and turns what happens into an exit code
"""

from __future__ import annotations

from dicomove.cli.main import main

__all__ = ["main"]
