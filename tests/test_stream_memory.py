"""A video's length must not cost memory: ten minutes through the streaming node against ten seconds."""

import sys

import pytest
from emo2.benchmarks.stream import measure


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads peak memory from /proc")
def test_ten_minutes_need_the_memory_of_ten_seconds():
    short, long = measure(10), measure(600)
    assert long["frames"] == 15000
    assert long["growth"] <= 1.2 * short["growth"], (short, long)
