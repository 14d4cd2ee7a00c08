"""A streaming job in a process of its own, that can be told to kill itself with SIGKILL at a certain place.

Arguments: output folder, and where to die: "step N", "segment N" (its frames half written), "join", "tidy", "never".
"""

import os
import signal
import sys
from pathlib import Path

import torch
import video_run_cases as cases
from emo2.models.video import job, mp4
from emo2.models.video.conditions import Settings
from emo2.models.video.sound import sound_of
from emo2.models.video.stream import Streamed, stream_video

FRAMES = 21  # three whole clips of 6 and a short one of 3
SETTINGS = Settings(seed=3, steps=2, cfg=1.5, scheduler="lcm")


def run(folder: Path, on_step=None, seed: int = 3) -> Streamed:
    """The job of these tests: 21 frames with stereo sound."""
    model = cases.network()
    return stream_video(
        model, cases.LinearVAE(), cases.conditions(model, FRAMES), Settings(seed, 2, 1.5, "lcm"), folder=folder,
        prefix="take", model_fingerprint="model", count=FRAMES, sound=sound_of(cases.track(FRAMES / 25, 44100, 2)),
        on_step=on_step,
    )  # fmt: skip


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, where: str, number: int) -> None:
    torch.set_num_threads(1)
    if where == "segment":
        write = mp4.write_segment

        def half(path, frames, fps, crf):
            def until_dead():
                for block in frames:
                    yield block[:1]
                    if path.name == f"clip_{number:05d}.mp4":
                        die()
                    yield block[1:]

            return write(path, until_dead(), fps, crf)

        mp4.write_segment = half
    if where == "join":
        mp4.Interleaver.until = die
    if where == "tidy":
        remove = job.shutil.rmtree
        job.shutil.rmtree = lambda path, **rest: die() if path.name.endswith(".emo2job") else remove(path, **rest)
    run(folder, lambda done, total, preview: die() if where == "step" and done == number else print(done, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
