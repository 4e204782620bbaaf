"""Makes queries and identifiers from a table of requests, with every check that needs no network.

Tables in::

    files/            `read_cohort`: reads files with every identifier unchanged
    damage            cells that do not hold what a person saw or meant                                   (pure)
    doubts            values that may be wrong, and may be right: only hints                              (pure)

Rows to queries and identifiers::

    values            one cell, as text                                                                   (pure)
    keywords          DICOM keywords: of headers, and the keys of each level                              (pure)
    tables            checks the columns of a table, its level, and its query model; marks of a table
    unknown_headers   headers that look like identifiers and are not understood                           (pure)
    key_values        a cell as the value of a matching key: dates, times, UIDs, text                     (pure)
    matching          which answers match the keys                                                        (pure)
    likeness          text that looks alike and is not equal; names of one person                         (pure)
    query_steps       the C-FINDs of one row                                                              (pure)
    queries           the C-FINDs of a table, or of the criteria of `query`
    hints             hints on columns that are not sent, rows that bring more than others, and unlikely values
    changes           rows of `find` and `plan` that the user has changed since                           (pure)
    asked_cells       whether a row of `find` asked for what a row of the cohort asks for                 (pure)
    find_tables       reads tables of `find` again: answer and level of each row, and the row of the cohort (pure)
    identifiers       from a row to the identifier of its C-MOVE
"""

from __future__ import annotations

from dicomove.cohort.changes import (
    changed_rows,
    digest_level,
    has_plan_digests,
    replanned_rows,
    rows_with_typed_patient,
    table_for,
    with_digests,
    with_plan_digests,
)
from dicomove.cohort.damage import damage
from dicomove.cohort.doubts import doubt
from dicomove.cohort.files.reading import read_cohort
from dicomove.cohort.files.text_files import decode
from dicomove.cohort.find_tables import Unmatched, at_level_of_find, exchanged_labels, found_rows, positions_in
from dicomove.cohort.hints import (
    on_coarser_rows,
    on_patients_of_any_site,
    on_patients_without_number,
    unasked_columns,
    uncompared_keys,
    unlikely_values,
    with_other_keys,
)
from dicomove.cohort.identifiers import (
    Identifier,
    Requested,
    move_identifier,
    move_identifiers,
    unsent_cells,
)
from dicomove.cohort.key_values import (
    NOT_ASCII,
    criterion,
    has_other_letters,
    is_single,
    is_universal,
    key_text,
)
from dicomove.cohort.keywords import (
    AVAILABILITY_KEYS,
    IDENTIFYING_KEYS,
    KEYWORDS,
    LEVELS,
    MATCHING_KEYS,
    OPTIONAL_KEYS,
    PATIENT_KEYS,
    QUERY_MODELS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    VRS,
    Level,
    QueryModel,
    is_found,
    keyword,
    keyword_columns,
    plain_label,
)
from dicomove.cohort.likeness import is_other_name
from dicomove.cohort.matching import contradictions, different, matches, only_difference
from dicomove.cohort.queries import PartialKeys, find_queries
from dicomove.cohort.query_steps import Broad, Query, Step
from dicomove.cohort.tables import (
    check_query,
    check_table,
    is_query,
    meant_as_query,
    parse_level,
    parse_query_model,
    places_of,
    with_own_columns,
    without_marks,
)
from dicomove.cohort.unknown_headers import overlooked_series
from dicomove.cohort.values import (
    EDGES,
    has_control_characters,
    is_blank,
    is_uid,
    plain_text,
    text,
    text_unless_blank,
    unsafe,
    whole_number,
)

__all__ = [
    "AVAILABILITY_KEYS",
    "EDGES",
    "IDENTIFYING_KEYS",
    "KEYWORDS",
    "LEVELS",
    "MATCHING_KEYS",
    "NOT_ASCII",
    "OPTIONAL_KEYS",
    "PATIENT_KEYS",
    "QUERY_MODELS",
    "RETURN_KEYS",
    "UNIQUE_KEYS",
    "VRS",
    "Broad",
    "Identifier",
    "Level",
    "PartialKeys",
    "Query",
    "QueryModel",
    "Requested",
    "Step",
    "Unmatched",
    "at_level_of_find",
    "changed_rows",
    "check_query",
    "check_table",
    "contradictions",
    "criterion",
    "damage",
    "decode",
    "different",
    "digest_level",
    "doubt",
    "exchanged_labels",
    "find_queries",
    "found_rows",
    "has_control_characters",
    "has_other_letters",
    "has_plan_digests",
    "is_blank",
    "is_found",
    "is_other_name",
    "is_query",
    "is_single",
    "is_uid",
    "is_universal",
    "key_text",
    "keyword",
    "keyword_columns",
    "matches",
    "meant_as_query",
    "move_identifier",
    "move_identifiers",
    "on_coarser_rows",
    "on_patients_of_any_site",
    "on_patients_without_number",
    "only_difference",
    "overlooked_series",
    "parse_level",
    "parse_query_model",
    "places_of",
    "plain_label",
    "plain_text",
    "positions_in",
    "read_cohort",
    "replanned_rows",
    "rows_with_typed_patient",
    "table_for",
    "text",
    "text_unless_blank",
    "unasked_columns",
    "uncompared_keys",
    "unlikely_values",
    "unsafe",
    "unsent_cells",
    "whole_number",
    "with_digests",
    "with_other_keys",
    "with_own_columns",
    "with_plan_digests",
    "without_marks",
]
