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
    "test_a_difference_says_what_both_share": 8,
    "test_a_file_that_is_none_is_said_and_keeps_nobody_out": 8,
    "test_a_header_that_gives_no_wcs_is_a_finding": 6,
    "test_a_killed_worker_costs_time_alone": 6,
    "test_a_part_of_it": 3,
    "test_a_sample_is_spread_from_first_to_last": 10,
    "test_a_window_is_what_numpy_cuts_out": 6,
    "test_an_inversion_is_called_one": 8,
    "test_any_rows_of_a_column": 6,
    "test_both_doors_have_all_tiles": 3,
    "test_checked_reads_refuse_bytes_that_changed": 10,
    "test_chunks_that_do_not_fit_are_refused_when_they_are_given": 10,
    "test_corrupt_bytes_of_one_hdu_are_refused": 8,
    "test_decode_takes_any_buffer": 3,
    "test_errors_come_back_from_another_process": 16,
    "test_every_coordinate_alone_selects_what_lies_between": 6,
    "test_every_pixel_within_the_tolerance": 8,
    "test_files_of_any_time": 8,
    "test_frames_of_every_name": 6,
    "test_frames_that_cannot_be_had_are_said_once": 16,
    "test_globus_itself": 8,
    "test_hcompress_with_loss": 12,
    "test_integers_of_cfitsio": 12,
    "test_lengths_that_are_none": 12,
    "test_names_of_every_kind_on_a_disk_and_a_server": 8,
    "test_no_bytes_of_a_header_table_are_taken_for_pointers": 6,
    "test_no_crop_is_of_another_file_than_the_one_there": 8,
    "test_no_server": 6,
    "test_nor_one_whose_words_are_of_other_types": 8,
    "test_nothing_waits_for_what_is_no_file": 8,
    "test_nothing_written_is_over_anything_else": 10,
    "test_one_odd_answer_is_that_frames_error": 8,
    "test_one_odd_reference_is_that_frames_error": 8,
    "test_other_directories_are_stored_right": 12,
    "test_parsers_read_stores": 8,
    "test_pixels_are_bit_for_bit_dkists": 6,
    "test_pixels_of_every_kind_of_server": 8,
    "test_plot_refuses": 10,
    "test_positions_that_differ_are_said_by_how_much": 6,
    "test_real_tables": 6,
    "test_scales_and_blanks_as_columns_and_as_keywords": 4,
    "test_simulated_datasets_are_good": 3,
    "test_the_matrix": 4,
    "test_what_is_fetched_is_what_the_selection_needs": 6,
    "test_what_is_no_frame_is_fetched_from_the_next_place": 10,
    "test_what_is_wrong_is_found": 8,
}
"""Tests whose cases cost a second or more each: every so many-th of them is not slow."""


SLOW = {
    "test_a_block_that_did_not_survive_is_fetched_anew",
    "test_a_broken_frame_is_said_and_not_hatched",
    "test_a_bucket",
    "test_a_click_shows_a_pixels_profile",
    "test_a_damaged_store_is_named_by_both_doors_of_ours",
    "test_a_dataset_by_a_slice_of_it",
    "test_a_directory_whose_name_no_reference_may_hold",
    "test_a_file_that_is_no_fits_by_its_first_card",
    "test_a_frame_that_changes_all_the_time_is_refused",
    "test_a_glance_elsewhere_takes_no_warning_away",
    "test_a_hdu_that_moved",
    "test_a_header_that_is_no_text_is_a_finding",
    "test_a_mosaic_is_a_dataset_named_as_the_store",
    "test_a_mosaic_is_computed_tile_by_tile",
    "test_a_saved_picture_has_no_sliders",
    "test_a_selection_of_a_mosaic_is_one_of_every_tile",
    "test_a_slice_of_a_million_frames_has_as_many_tasks_as_chunks_selected",
    "test_a_stale_checksum_with_a_good_datasum_is_a_note",
    "test_a_subslice_is_the_first_selection",
    "test_absent_frames_are_no_warning",
    "test_absent_frames_of_a_tile",
    "test_absent_frames_raise_and_say_how_many",
    "test_an_absent_frame_of_every_instrument",
    "test_another_frame_under_its_name_is_found_by_its_keywords",
    "test_another_store_is_not_warned_of",
    "test_another_verification_is_none_to_go_on_with",
    "test_any_name_will_do",
    "test_any_scaled_image",
    "test_any_selection_that_zarr_expresses",
    "test_any_text_becomes_one_line_that_stays_as_it_is",
    "test_blocks_that_come_to_more_than_they_say",
    "test_chains_of_indices_do_what_numpy_does",
    "test_computed_tiles_are_named_by_their_places",
    "test_concurrency_is_a_setting",
    "test_contrast_by_stokes",
    "test_data_wcs_headers_and_files_follow",
    "test_each_slider_says_something_else",
    "test_every_tile_lies_where_its_wcs_says",
    "test_frames_elsewhere",
    "test_frames_inside_the_dkist_package",
    "test_frames_of_one_name_are_not_written_over_each_other",
    "test_frames_of_unknown_size_have_one_that_may_be",
    "test_from_a_remote_asdf",
    "test_from_one_directory_to_another",
    "test_leading_one_is_dropped_once",
    "test_lines_and_profiles",
    "test_many_pixels_are_not_all_evaluated_and_the_box_is_the_same",
    "test_masked_mosaic",
    "test_mosaics_are_sampled_over_all_tiles",
    "test_no_polarisation_outside_the_spot",
    "test_no_secret_is_written_into_a_store",
    "test_nor_by_one_long_text",
    "test_nothing_is_sent_until_asked",
    "test_nothing_there_is_no_success",
    "test_one_stokes_parameter_and_one_wavelength_are_no_axis",
    "test_one_that_was_stopped_goes_on",
    "test_opening_warns_of_what_was_found_until_it_is_good_again",
    "test_operands_of_another_dataset",
    "test_options_of_convert",
    "test_plain_pixels_that_are_scaled_by_now",
    "test_plain_pixels_that_moved_or_are_others_are_refused",
    "test_plot_writes_a_picture",
    "test_single_frame_has_no_frame_axes",
    "test_slices_agree_with_dkist",
    "test_slices_and_operations_in_any_order",
    "test_store_names_of_any_length",
    "test_tables_that_match_are_read_without_a_word",
    "test_the_asdf_is_fetched_once",
    "test_the_command_searches_and_opens",
    "test_the_core_shifts_by_the_doppler_velocity",
    "test_the_line_to_send_tells_nothing_of_people_and_places",
    "test_the_path_of_a_first_dataset",
    "test_the_profile_of_any_pixel_of_every_instrument",
    "test_the_read_out_tells_pixels_apart",
    "test_the_store_id_is_the_same_whoever_makes_it",
    "test_the_tables_datasum_is_the_images",
    "test_tiles_that_are_masked_but_stand_in_the_file",
    "test_v_is_antisymmetric_about_the_core_and_the_rest_symmetric",
    "test_what_a_server_calls_a_dataset_is_no_path",
    "test_what_newer_packages_wrote_is_refused_by_the_name_of_the_file",
    "test_workers_refuse_it_too",
    "test_zarr_groups_and_arrays",
}
"""Tests that cost a second or more, beside quicker ones of the same file that are not slow."""


def mark_costly(items: Iterable[pytest.Item]) -> None:
    """Mark the tests in `SLOW`, and all but every so many-th case of those in `EVERY`, as slow."""
    seen: dict[str, int] = {}
    for item in items:
        test = item.nodeid.partition("[")[0]
        name = test.rpartition("::")[2]
        every = EVERY.get(name)
        if name in SLOW:
            item.add_marker(pytest.mark.slow)
        elif every is not None:
            seen[test] = n = seen.get(test, -1) + 1
            if n % every:
                item.add_marker(pytest.mark.slow)
