"""Choose what of a matrix of cases runs in ``make test``; the others are marked slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], *quick: Any, every: int = 0) -> list[Any]:
    """Parameters of which those named in `quick`, or each `every`-th one, are not slow.

    A value that is a tuple is one of several arguments, as in ``parametrize``.
    """
    assert bool(quick) != bool(every)
    chosen: list[Any] = []
    for i, value in enumerate(values):
        if value in quick if quick else i % every == 0:
            chosen.append(value)
        elif hasattr(value, "marks"):  # a `pytest.param`
            chosen.append(pytest.param(*value.values, marks=pytest.mark.slow, id=value.id))
        else:
            arguments = value if isinstance(value, tuple) else (value,)
            chosen.append(pytest.param(*arguments, marks=pytest.mark.slow))
    return chosen


EVERY = {
    "test_a_difference_says_what_both_share": 4,
    "test_a_file_that_is_none_is_said_and_keeps_nobody_out": 4,
    "test_a_header_that_gives_no_wcs_is_a_finding": 3,
    "test_a_killed_worker_costs_time_alone": 3,
    "test_a_part_of_it": 2,
    "test_a_sample_is_spread_from_first_to_last": 5,
    "test_a_window_is_what_numpy_cuts_out": 3,
    "test_an_inversion_is_called_one": 4,
    "test_any_rows_of_a_column": 3,
    "test_both_doors_have_all_tiles": 2,
    "test_checked_reads_refuse_bytes_that_changed": 5,
    "test_chunks_that_do_not_fit_are_refused_when_they_are_given": 5,
    "test_corrupt_bytes_of_one_hdu_are_refused": 4,
    "test_decode_takes_any_buffer": 2,
    "test_errors_come_back_from_another_process": 8,
    "test_every_coordinate_alone_selects_what_lies_between": 3,
    "test_every_pixel_within_the_tolerance": 4,
    "test_files_of_any_time": 4,
    "test_frames_of_every_name": 3,
    "test_frames_that_cannot_be_had_are_said_once": 8,
    "test_globus_itself": 4,
    "test_hcompress_with_loss": 6,
    "test_integers_of_cfitsio": 6,
    "test_lengths_that_are_none": 6,
    "test_names_of_every_kind_on_a_disk_and_a_server": 4,
    "test_no_bytes_of_a_header_table_are_taken_for_pointers": 3,
    "test_no_crop_is_of_another_file_than_the_one_there": 4,
    "test_no_server": 3,
    "test_nor_one_whose_words_are_of_other_types": 4,
    "test_nothing_waits_for_what_is_no_file": 4,
    "test_nothing_written_is_over_anything_else": 5,
    "test_one_odd_answer_is_that_frames_error": 4,
    "test_one_odd_reference_is_that_frames_error": 4,
    "test_other_directories_are_stored_right": 6,
    "test_parsers_read_stores": 4,
    "test_pixels_are_bit_for_bit_dkists": 3,
    "test_pixels_of_every_kind_of_server": 4,
    "test_plot_refuses": 5,
    "test_positions_that_differ_are_said_by_how_much": 3,
    "test_real_tables": 3,
    "test_scales_and_blanks_as_columns_and_as_keywords": 4,
    "test_simulated_datasets_are_good": 2,
    "test_the_matrix": 2,
    "test_what_is_fetched_is_what_the_selection_needs": 3,
    "test_what_is_no_frame_is_fetched_from_the_next_place": 5,
    "test_what_is_wrong_is_found": 4,
}
"""Tests whose cases cost a second or more each: every so many-th of them is not slow."""


def mark_costly(items: Iterable[pytest.Item]) -> None:
    """Mark all but every so many-th case of the tests in `EVERY` as slow."""
    seen: dict[str, int] = {}
    for item in items:
        test = item.nodeid.partition("[")[0]
        every = EVERY.get(test.rpartition("::")[2])
        if every is not None:
            seen[test] = n = seen.get(test, -1) + 1
            if n % every:
                item.add_marker(pytest.mark.slow)
