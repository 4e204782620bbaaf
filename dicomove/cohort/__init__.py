"""Tables of what is wanted, as what can be sent: every check that needs no network."""

from __future__ import annotations

from dicomove.cohort.found import Unmatched, is_found, plain_label, unmatched
from dicomove.cohort.identifiers import Identifier, Requested, move_identifier, move_identifiers
from dicomove.cohort.keywords import keyword, keyword_columns
from dicomove.cohort.levels import LEVELS, UNIQUE_KEYS, Level, QueryModel, parse_level, parse_query_model
from dicomove.cohort.matching import matches
from dicomove.cohort.queries import MATCHING_KEYS, RETURN_KEYS, Query, Step, find_queries, find_query
from dicomove.cohort.reading import read_cohort
from dicomove.cohort.values import is_blank

__all__ = [
    "LEVELS",
    "MATCHING_KEYS",
    "RETURN_KEYS",
    "UNIQUE_KEYS",
    "Identifier",
    "Level",
    "Query",
    "QueryModel",
    "Requested",
    "Step",
    "Unmatched",
    "find_queries",
    "find_query",
    "is_blank",
    "is_found",
    "keyword",
    "keyword_columns",
    "matches",
    "move_identifier",
    "move_identifiers",
    "parse_level",
    "parse_query_model",
    "plain_label",
    "read_cohort",
    "unmatched",
]
