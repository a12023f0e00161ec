"""What people found who tried the package on purpose, and what becomes of each now.

``tests/hostile.py`` prints it on the page of inputs; ``test_hostile.py`` looks whether each
test that is named is there.
"""

from __future__ import annotations

__all__ = ["FOUND", "print_found"]

#: What happened; what happens now; the test, file and name.
FOUND: tuple[tuple[str, str, str], ...] = (
    ("an output that is one of the inputs was overwritten", "refused",
     "files/test_lost.py::test_no_output_is_an_input"),
    ("an existing file was replaced", "refused without overwrite=True",
     "files/test_lost.py::test_an_existing_file_is_kept_unless_asked"),
    ("out.png was a GeoTIFF", "refused",
     "files/test_lost.py::test_names_of_other_formats"),
    ("devices, pipes and links were replaced by files", "refused; links are followed",
     "files/test_lost.py::test_outputs_that_are_no_plain_files"),
    ("hidden files followed links", "they follow none",
     "files/test_lost.py::test_hidden_files_follow_no_links"),
    ("series() lost the CRS", "kept", "test_crs_kept.py::test_series_keeps_the_crs"),
    ("a CRS that did not come along: degrees as metres", "found, or refused",
     "test_crs_kept.py::test_plainly_opened"),
    ("mask bands, alpha bands and nodata of each band were data", "missing",
     "files/test_missing_files.py::test_masks_of_images"),
    ("several fill values and valid ranges were data", "missing",
     "test_field_input.py::test_fill_values_of_images"),
    ("nodata within a field was displacement", "missing",
     "test_field_input.py::test_nodata_within_a_field"),
    ("masked scenes of a database were learned from", "missing",
     "database/test_doors.py::test_masked_scenes"),
    ("images placed by control points alone", "refused",
     "test_location.py::test_control_points_only"),
    ("latitudes beyond 90 degrees", "refused",
     "test_location.py::test_numbers_that_are_no_coordinates"),
    ("metres of a map that are not those of the ground", "metres of the ground",
     "test_location.py::test_metres_of_the_ground"),
    ("convergence of derived CRSs", "right", "test_location.py::test_turned_globe"),
    ("a mask with its rows the other way", "turned",
     "displacement/test_places.py::test_mask_with_its_rows_the_other_way"),
    ("masks and fields from elsewhere", "refused",
     "displacement/test_places.py::test_masks_from_elsewhere"),
    ("traces in degrees, or far away", "refused",
     "displacement/test_places.py::test_traces_from_elsewhere"),
    ("a trace in pieces drawn both ways", "turned and ordered, or a warning",
     "displacement/test_places.py::test_trace_in_pieces_drawn_both_ways"),
    ("a photograph taken for a field of COSI-Corr", "refused without format=",
     "files/test_cosi_corr.py::test_photographs_are_no_fields"),
    ("flags that became real numbers", "read; averages are refused",
     "test_field_input.py::test_flags_that_became_real_numbers"),
    ("pairs of one date", "refused", "test_crs_kept.py::test_dates_equal_to_each_other"),
    ("ground that repeats itself", "flagged ambiguous, and in no product",
     "displacement/test_flagged.py::test_furrows_are_believed_in_no_product"),
    ("textured and flat clouds", "flagged not_converged, within a model's blur too",
     "estimators/test_doubt.py::test_clouds_that_a_field_bends_to"),
    ("the rim of a flat cloud", "flagged not_converged for every model",
     "estimators/test_doubt.py::test_the_rim_of_a_flat_cloud"),
    ("networks that state no sigma", "it comes from the images",
     "estimators/test_image_sigma.py::test_networks_without_a_spread_have_one"),
    ("errors of unet within 16 px of the border", "sigma grows as they do",
     "estimators/test_network.py::test_what_the_border_costs_is_in_sigma"),
    ("changed ground, furrows and holes, in every model", "flagged, but for a stated share",
     "test_wrong_numbers.py::test_no_wrong_value_without_a_word"),
    ("odd geometries, extended WKT, stray points", "read, or refused in one line",
     "test_odd_inputs.py::test_odd_traces"),
    ("a trace with a vertex at 1e300 m", "refused",
     "test_odd_inputs.py::test_odd_traces"),
    ("advice that xarray refuses", "it is followed in a test",
     "test_stack.py::test_the_advice_for_two_stacked_dimensions_holds"),
    ("dimensions of size one", "squeezed",
     "test_field_input.py::test_dimensions_of_size_one"),
    ("a path, a Dataset, a search as long as the image", "refused, with what to do",
     "test_odd_inputs.py::test_what_is_no_image"),
    ("a folder as a file", "refused", "test_odd_inputs.py::test_a_folder_as_a_file"),
    ("a scene that is cut off, in a database", "refused, by its name",
     "database/test_doors.py::test_scene_that_is_cut_off"),
    ("a disk that is full while the COG is made", "an error; the earlier file stays",
     "files/test_lost.py::test_a_full_disk_is_said_and_loses_nothing"),
    ("a disk that is full while a network is trained", "an error; the last checkpoint stays",
     "training/test_loop.py::test_a_full_disk_ends_a_run_and_loses_nothing"),
    ("a disk that is full while a database is built", "an error that says what is kept",
     "database/test_doors.py::test_a_full_disk"),
    ("a process of a build that is killed", "an error that says what is kept",
     "database/test_doors.py::test_a_process_that_is_killed"),
    ("an image replaced while it is read", "refused",
     "files/test_replaced.py::test_image_replaced_while_it_is_read"),
    ("damaged fields read as data", "refused",
     "files/test_replaced.py::test_damaged_fields"),
    ("shards of a database lost or turned", "refused",
     "database/test_doors.py::test_shards_that_are_damaged"),
    ("patterns of missing pixels in both images", "flagged not_converged",
     "estimators/test_doubt.py::test_patterns_of_holes"),
    ("two images of different ground", "flagged not_converged",
     "estimators/test_doubt.py::test_nothing_to_match"),
    ("odd cards of weights, and those that ask for gigabytes", "refused before they are made",
     "test_odd_inputs.py::test_odd_cards"),
    ("odd configurations of training", "refused",
     "test_odd_inputs.py::test_odd_configurations"),
    ("two builds of a database at once", "the second is refused",
     "database/test_doors.py::test_two_builds_at_once"),
    ("two trainings in one folder", "the second is refused",
     "training/test_loop.py::test_two_runs_in_one_folder"),
    ("a cluster that is closed", "an error that says what is kept",
     "test_distributed.py::test_a_cluster_that_is_closed"),
    ("a scheduler that is killed", "an error that says what is kept",
     "test_distributed.py::test_a_scheduler_that_is_killed"),
    ("workers that die of the same work", "an error that says what is kept",
     "test_distributed.py::test_workers_that_die_of_the_same_block"),
    ("a cluster without workers", "a warning after ten seconds",
     "test_distributed.py::test_a_cluster_without_workers"),
    ("an input that is a pipe", "refused",
     "files/test_replaced.py::test_inputs_that_are_no_files"),
    ("a raster of 2e9 x 2e9 pixels", "refused before it is read",
     "files/test_replaced.py::test_raster_of_absurd_size"),
    ("evaluate FILE.py:NAME runs that file", "the help says so",
     "test_odd_inputs.py::test_evaluate_says_that_it_runs_files"),
    ("a line of the journal that was cut", "cut off",
     "files/test_journal.py::test_cut_journal_line_is_not_believed"),
    ("Ctrl-C in the first half second", "one line",
     "test_odd_inputs.py::test_interrupted_while_it_loads"),
    ("damaged files of every kind", "a right result, or one error",
     "fuzz/test_fuzz.py::test_mutations"),
)  # fmt: skip


def print_found() -> None:
    """Print the section of the page."""
    title = "What was tried on purpose"
    print(f"\n{title}\n{'-' * len(title)}\n")
    print("Each of these went wrong once; the last column is the test that keeps it right.\n")
    print(".. list-table::\n   :header-rows: 1\n   :widths: 40 25 35\n")
    for what, now, test in (("what happened", "now", "test"), *FOUND):
        name = test if test == "test" else f"``{test.replace('::', '``, ``')}``"
        print(f"   * - {what}\n     - {now}\n     - {name}")


if __name__ == "__main__":
    print_found()
