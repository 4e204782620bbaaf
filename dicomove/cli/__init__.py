"""The commands of the shell, one for each function. Tables go to standard output, everything else to standard error.

::

    main         the arguments of every command, with its help; runs one command, and returns the exit code
    arguments    the arguments that commands share
    commands     the commands that send requests to a PACS
    tools        the commands without an address of a PACS: the demo, `receive`, and commands for received images
    tables       reads the table for a command; prints one for a person, for a file, or for the next program of a pipe
"""

from __future__ import annotations

from dicomove.cli.main import main

__all__ = ["main"]
