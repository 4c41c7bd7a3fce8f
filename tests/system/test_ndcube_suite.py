"""Run ndcube's own tests of cubes, sequences and collections with our `Dataset` as the cube.

``ndcube_suite.toml`` lists those that do not pass, with reasons.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peer_suites import Suite, check

SUITE = Suite(
    package="ndcube",
    tests=(
        "tests/test_ndcube.py",
        "tests/test_ndcube_arithmetic.py",
        "tests/test_ndcube_axis_world_coords.py",
        "tests/test_ndcube_dynspec.py",
        "tests/test_ndcube_reproject_and_rebin.py",
        "tests/test_ndcube_slice_and_crop.py",
        "tests/test_ndcubesequence.py",
        "tests/test_ndcollection.py",
        "extra_coords/tests/test_extra_coords.py",
    ),
    plugins=("ndcube_shim",),
    table=Path(__file__).with_name("ndcube_suite.toml"),
)


@pytest.mark.slow
def test_ndcubes_own_tests_pass_but_for_those_listed(tmp_path: Path) -> None:
    check(SUITE, tmp_path)
