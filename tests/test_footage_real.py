"""A real speaker, prepared end to end with the built-in detector."""

import csv

import av
import cv2
import numpy as np
import pytest
from emo2.models.audio import loudness
from emo2.training.footage.prepare import prepare
from emo2.training.footage.settings import Settings
from emo2.training.puppets.cache import PuppetCache
from video_run_cases import one_thread  # noqa: F401

SECONDS = 4.0


@pytest.mark.shared
def test_a_speaker_s_video_becomes_records(shared, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the built-in detector needs ai-edge-litert")
    from emo2.models.pose.offline import OfflineDetector

    path = first_seconds(shared / "data/video/speaker_gesturing.mp4", tmp_path / "speaker.mp4")
    summary = prepare([path], tmp_path / "set", Settings(), lambda: OfflineDetector(1))
    with open(tmp_path / "set/report.csv", newline="") as stream:
        [row] = csv.DictReader(stream)
    assert row["kept"] == "yes" and summary["records"] == 2, row
    assert float(row["present"]) == 1 and float(row["face"]) > 0.95 and float(row["wander"]) < 0.02
    cache = PuppetCache(tmp_path / "set")
    for index in range(2):
        record = cache[index]
        motion = record.motion
        assert record.frames.shape == (48, 704, 512, 3) and motion.framing.size == (704, 512)
        # Nearly as large as filmed: shoulders a little over half of the picture, and the head is in it.
        assert 0.5 < motion.framing.shoulder_width < 0.65 and 0.3 < motion.framing.neck[1] < 0.5
        assert ((motion.face > 0) & (motion.face < 1)).all()
        assert (record.mouth_places > 0).all() and (record.mouth_places < [512, 704]).all()
        skin = record.frames[0][tuple(record.mouth_places[0].astype(int)[::-1])]
        assert skin[0] > skin[2], "lips are redder than blue"
    # For two seconds the hands are folded, the left one over the right, which the picture's lower edge cuts.
    assert cache[0].visible[:, 0].mean() > 0.9 and cache[0].confidence[:, 0].mean() > 0.8
    assert (cache[0].maps[..., 2] > 0).mean() > 0.01
    heard = loudness(cache[0].waveform)
    assert heard.std() > 0.1 and len(cache[0].waveform) == round(record.info["clip_frames"] / 25 * 16000)
    sheet = cv2.imread(str(next((tmp_path / "set/sheets").glob("*.png"))))
    assert sheet.shape[1] == 1800 and np.ptp(sheet) > 200


def first_seconds(source, target):
    """The beginning of a video, its packets copied."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        streams = {s.index: part.add_stream_from_template(s) for s in whole.streams if s.type in ("video", "audio")}
        for packet in whole.demux():
            if packet.dts is not None and packet.stream.index in streams and packet.pts * packet.time_base <= SECONDS:
                packet.stream = streams[packet.stream.index]
                part.mux(packet)
    return target
