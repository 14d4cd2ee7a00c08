"""A video's length must not cost memory: ten minutes through the streaming node against ten seconds."""

import sys

import pytest
from emo2.benchmarks.stream import measure


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads peak memory from /proc")
def test_a_long_job_needs_the_memory_of_a_short_one():
    short, long = measure(10), measure(600)
    assert short["frames"] == 250 and long["frames"] == 15000
    assert long["growth"] <= 1.2 * short["growth"], (short, long)
