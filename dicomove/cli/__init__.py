"""The commands of the shell: the twins of the functions. Standard output has the tables, standard error the rest."""

from __future__ import annotations

from dicomove.cli.main import main

__all__ = ["main"]
