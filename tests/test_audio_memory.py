"""Twenty minutes of sound take no more memory than one: preparing, encoding and reading the features."""

import json
import os
import subprocess
import sys

import pytest

JOB = """
import json, resource, sys, tempfile
from pathlib import Path
import psutil, torch
from emo2.models.audio import TINY, build, duration_of, encode, prepare_waveform

torch.set_num_threads(1)
torch.manual_seed(0)
# One layer, but wide states: what is kept of an hour is long, what is computed for it is little.
small = {"hidden_size": 256, "num_hidden_layers": 1, "intermediate_size": 16, "conv_dim": [8] * 7}
encoder = build(TINY | small).eval()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def growth(seconds, folder):
    # The sound itself is the caller's: it is there, and every page of it used, before counting starts.
    audio = {"waveform": torch.empty(1, 1, seconds * 24000).uniform_(-1, 1), "sample_rate": 24000}
    before = psutil.Process().memory_info().rss
    waveform = prepare_waveform(audio, folder)
    features = encode(encoder, waveform, chunk_seconds=4, context_seconds=1, spool=folder, duration=duration_of(audio))
    for start in range(0, seconds * 25, 250):
        features.at_frames(25, start, 250, radius=2)
    size = features.hidden.nbytes + waveform.nbytes
    return peak() - before, size

with tempfile.TemporaryDirectory() as name:
    growth(10, Path(name))
    minute, _ = growth(60, Path(name))
    long, size = growth(1200, Path(name))
print(json.dumps({"minute": minute, "long": long, "size": size}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read the POSIX way")
def test_twenty_minutes_grow_no_more_than_one():
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run([sys.executable, "-c", JOB], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["size"] > 120 << 20, "the job must be one that would show"
    assert result["long"] < max(result["minute"], 0) + (24 << 20)
