"""C-FIND for the rows of a table: level by level, with all answers, and only those that were asked for."""

from __future__ import annotations

from dicomove.search.choice import Choice, Matches
from dicomove.search.row import Answer, Search, find_outcome

__all__ = ["Answer", "Choice", "Matches", "Search", "find_outcome"]
