"""Videos of puppets whose truth is known, and a detector that knows them: what preparation is tried on."""

from dataclasses import dataclass, field

import numpy as np
from emo2.models.pose.detection import Seen
from emo2.training.footage.settings import Limits, Settings
from emo2.training.puppets.hands import neutral_hands
from emo2.training.puppets.world import Puppet
from video_cases import write_video

SIZE, PICTURE, FRAMES = (256, 192), (128, 96), 12
"""Of the videos, of the prepared pictures, and of a record."""
CODE = 4
"""Side in pixels of the cells in which a frame's number stands in its upper edge."""
BITS = 12
LIMITS = {"shortest": 0.8, "longest": 2.0, "closest": 0.65, "sharpness": 0.0}


def settings(**changes):
    limits = Limits(**{**LIMITS, **{k: v for k, v in changes.items() if k in Limits.__dataclass_fields__}})
    rest = {k: v for k, v in changes.items() if k not in Limits.__dataclass_fields__}
    return Settings(**{"size": PICTURE, "frames": FRAMES, "limits": limits, **rest})


def truth_of(puppet, size=SIZE):
    """What a perfect detector sees of a puppet, frame by frame."""
    motion = puppet.with_face(puppet.motion)
    joints = np.asarray(neutral_hands().pose(motion.rotations, motion.wrists())[1])
    hands = motion.framing.project(joints)
    out = []
    for f in range(len(motion)):
        inside = lambda points: ((points > 0) & (points < 1)).all(-1).astype(float)
        hand = inside(hands[f]) * motion.visible[f][:, None]
        body, face = motion.keypoints[f].astype(float), motion.face[f].astype(float)
        known = motion.keypoint_scores[f] * inside(body)
        points = np.concatenate([body[known > 0], face])
        box = np.concatenate([points.min(0), points.max(0)]).clip(0, 1)
        out.append(Seen(body * (known > 0)[:, None], known, hands[f] * (hand > 0)[..., None], hand, face,
                        np.ones(70), box, 0.9))  # fmt: skip
    return out


def numbered(frames, first=0):
    """Frames with their numbers as black and white cells along the upper edge."""
    frames = frames.copy()
    for i, frame in enumerate(frames, first):
        for bit in range(BITS):
            frame[:CODE, bit * CODE : (bit + 1) * CODE] = 255 if i >> bit & 1 else 0
    return frames


def number_in(picture):
    """The number in a frame, at whatever size it was read."""
    cell = CODE * picture.shape[1] / SIZE[1]
    at = [picture[int(cell / 2), int((bit + 0.5) * cell)].mean() > 127 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(at) if on)


@dataclass
class Scenes:
    """Shots after each other: frames, and what is to be seen in each; `starts` are the first frames of shots."""

    frames: list = field(default_factory=list)
    people: list = field(default_factory=list)
    sounds: list = field(default_factory=list)
    starts: list = field(default_factory=list)

    def add(self, frames, people, sound=None):
        self.starts.append(len(self.people))
        self.frames.append(frames)
        self.people.extend(people)
        length = len(people) * 640
        self.sounds.append(
            np.zeros(length) if sound is None else np.pad(sound[:length], (0, max(length - len(sound), 0)))
        )
        return self

    def puppet(self, seed, count=30, at=0):
        puppet = Puppet.draw(seed, "train", seconds=(at + count) / 25, style="speaking")
        sound = puppet.performance.waveform[at * 640 :]
        return self.add(puppet.video(SIZE, at, count), truth_of(puppet)[at : at + count][:count], sound)

    def write(self, path, sound=True, **options):
        """The video; each picture says which frame it is."""
        frames = numbered(np.concatenate(self.frames))
        voice = np.concatenate(self.sounds)[None].astype(np.float32) if sound else None
        return write_video(path, frames, sound=voice, **options)


class Knowing:
    """A detector that reads which frame it is shown and says what is there. calls: frames it was asked about."""

    name = "knowing"

    def __init__(self, people):
        self.people, self.calls, self.resets = people, [], 0

    def reset(self):
        self.resets += 1

    def detect(self, frames):
        numbers = [number_in(frame) for frame in frames]
        self.calls += numbers
        return [[seen] if isinstance(seen, Seen) else list(seen) for seen in (self.people[n] for n in numbers)]


def moved(seen, dx, dy=0.0):
    """The same person elsewhere in the picture."""
    shift = np.array([dx, dy])
    put = lambda points, scores: np.where(scores[..., None] > 0, points + shift, 0)
    return seen._replace(
        body=put(seen.body, seen.body_scores), hands=put(seen.hands, seen.hand_scores),
        face=put(seen.face, seen.face_scores), box=seen.box + np.tile(shift, 2),
    )  # fmt: skip


__all__ = ["FRAMES", "PICTURE", "SIZE", "Knowing", "Scenes", "moved", "number_in", "numbered", "settings", "truth_of"]
