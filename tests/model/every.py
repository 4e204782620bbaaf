"""Which promises hold of which run."""

from __future__ import annotations

from typing import Final

from tests.model.on_disk import OF_A_RECEIVER, OF_A_RECEIVERS_TABLE
from tests.model.promises import (
    a_fault_in_one_row_does_not_reach_its_neighbours,
    a_row_is_invalid_if_it_cannot_be_asked_and_only_then,
    a_table_that_cannot_be_right_is_refused_before_the_first_association,
    a_time_is_there_for_what_was_tried,
    after_an_interrupt_what_was_not_begun_is_not_attempted,
    an_association_is_used_again_only_after_a_final_response,
    an_interrupt_is_told_and_nothing_else_is,
    an_interrupted_row_reads_as_it_ended,
    associations_are_reused_and_never_more_than_concurrency,
    complete_is_never_false,
    empty_is_never_false,
    it_ends_within_its_timeouts,
    no_c_find_asks_for_what_no_row_names,
    nothing_is_left_open,
    nothing_is_lost_to_a_traceback_once_the_run_has_started,
    nothing_is_sent_for_a_study_of_another_patient_than_the_row_names,
    nothing_was_sent_where_the_outcome_says_so,
    only_what_a_row_asks_for_is_sent_by_level_and_unique_keys,
    rows_that_ask_the_same_get_the_same,
    status_and_counts_are_those_that_the_pacs_gave,
    the_attempts_are_the_moves_that_the_pacs_saw,
    the_callers_columns_are_as_they_were,
    the_callers_table_is_not_touched,
    the_columns_have_their_types,
    the_counts_add_up,
    the_words_are_of_the_closed_sets,
    there_is_one_result_row_for_each_row_on_its_index,
    what_had_finished_before_an_interrupt_stays,
    what_is_asked_twice_is_moved_once,
    what_is_expected_is_what_there_is_or_what_the_table_says,
    what_is_not_known_is_said,
    what_is_shown_is_what_the_table_says,
    what_only_a_receiver_knows_is_null_elsewhere,
)
from tests.model.run import Run
from tests.model.words import RECEIVER, STORE

#: Of every run.
ALWAYS: Final = (
    a_table_that_cannot_be_right_is_refused_before_the_first_association,
    nothing_is_lost_to_a_traceback_once_the_run_has_started,
    the_callers_table_is_not_touched,
    only_what_a_row_asks_for_is_sent_by_level_and_unique_keys,
    no_c_find_asks_for_what_no_row_names,
    what_is_asked_twice_is_moved_once,
    an_association_is_used_again_only_after_a_final_response,
    it_ends_within_its_timeouts,
    nothing_is_left_open,
)

#: Of every run that returns a table.
OF_A_TABLE: Final = (
    there_is_one_result_row_for_each_row_on_its_index,
    the_callers_columns_are_as_they_were,
    the_columns_have_their_types,
    the_words_are_of_the_closed_sets,
    what_only_a_receiver_knows_is_null_elsewhere,
    a_row_is_invalid_if_it_cannot_be_asked_and_only_then,
    nothing_is_sent_for_a_study_of_another_patient_than_the_row_names,
    rows_that_ask_the_same_get_the_same,
    the_attempts_are_the_moves_that_the_pacs_saw,
    nothing_was_sent_where_the_outcome_says_so,
    a_time_is_there_for_what_was_tried,
    status_and_counts_are_those_that_the_pacs_gave,
    the_counts_add_up,
    complete_is_never_false,
    empty_is_never_false,
    a_fault_in_one_row_does_not_reach_its_neighbours,
    what_is_expected_is_what_there_is_or_what_the_table_says,
    what_is_not_known_is_said,
    associations_are_reused_and_never_more_than_concurrency,
    an_interrupt_is_told_and_nothing_else_is,
    what_had_finished_before_an_interrupt_stays,
    after_an_interrupt_what_was_not_begun_is_not_attempted,
    an_interrupted_row_reads_as_it_ended,
    what_is_shown_is_what_the_table_says,
)


#: By the destination, and by whether there is a table.
PROMISES: Final = {
    (STORE, False): ALWAYS,
    (STORE, True): (*ALWAYS, *OF_A_TABLE),
    (RECEIVER, False): (*ALWAYS, *OF_A_RECEIVER),
    (RECEIVER, True): (*ALWAYS, *OF_A_TABLE, *OF_A_RECEIVER, *OF_A_RECEIVERS_TABLE),
}


def keeps_its_promises(run: Run) -> None:
    """Raise AssertionError for the first promise that a run broke."""
    for promise in PROMISES[run.options.into, run.returned is not None]:
        promise(run)
