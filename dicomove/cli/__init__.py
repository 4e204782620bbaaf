"""The commands of the shell, one for each function. Tables go to standard output, everything else to standard error.

::

    parser       the arguments of every command, with its help
    arguments    the arguments that commands share
    tables       reads the table for a command: a file, or standard input
    commands     the commands that send requests to a PACS
    tools        the commands without an address of a PACS: the demo, `receive`, and commands for received images
    output       prints a table for a person, for a file, or for the next program of a pipe
    main         runs one command, and returns the exit code
"""

from __future__ import annotations

from dicomove.cli.main import main

__all__ = ["main"]
