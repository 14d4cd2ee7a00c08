"""Head and lips in keypoint maps: drawn where they are known, and nowhere else."""

import numpy as np
import pytest
from emo2.models.maps import keypoint_maps
from emo2.models.maps.face import HEAD, LIP_COLOURS, LIPS
from emo2.training.puppets.head import head_height
from emo2.training.puppets.world import Puppet

SIZE = (512, 384)


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet.draw(3, "train", seconds=2.0)


@pytest.fixture(scope="module")
def motion(puppet):
    return puppet.with_face(puppet.motion)


def hide(motion, points):
    scores = motion.face_scores.copy()
    scores[:, points] = 0
    return motion.replace(face_scores=scores)


def changed(a, b):
    return (a != b).any(-1).sum()


def test_parts_are_drawn_where_they_are_known(motion):
    maps = keypoint_maps(motion, SIZE, face=True)
    none = keypoint_maps(motion, SIZE)
    assert np.array_equal(keypoint_maps(hide(motion, [*HEAD, *LIPS]), SIZE, face=True), none)
    lips, head = (keypoint_maps(hide(motion, part), SIZE, face=True) for part in (HEAD, LIPS))
    assert changed(lips, none) > 100 * len(motion) and changed(head, none) > 100 * len(motion)
    # Together they are both, the lips over the head.
    assert changed(maps, none) >= max(changed(lips, none), changed(head, none))
    inside = (lips != none).any(-1) & ((lips == LIP_COLOURS[0]) | (lips == LIP_COLOURS[1])).all(-1)
    assert inside.sum() > 50 * len(motion) and np.array_equal(maps[inside], lips[inside])


def test_a_motion_without_a_face_has_none(puppet):
    assert np.array_equal(keypoint_maps(puppet.motion, SIZE, face=True), keypoint_maps(puppet.motion, SIZE))


def test_lips_open_as_the_mouth_does(puppet, motion):
    """The opening's height in the map follows the performance's mouth."""
    maps = keypoint_maps(hide(motion, HEAD), SIZE, face=True)
    shown = (np.abs(maps.astype(int) - LIP_COLOURS[1]).sum(-1) < 40).any(2).sum(1)
    opening = puppet.performance.mouth[:, 0]
    assert opening.std() > 0.1 and np.corrcoef(shown, opening)[0, 1] > 0.98


def test_the_puppets_face_is_where_its_mouth_is(puppet, motion):
    places = puppet.mouth_places(SIZE) / [SIZE[1], SIZE[0]]
    middle = motion.face[:, LIPS].mean(1)
    assert np.abs(middle - places).max() < 0.004
    neck = motion.keypoints[:, 1]
    # Eyes above the mouth, the mouth above the chin, all above the neck.
    heights = [motion.face[:, part, 1].mean(1) for part in (slice(36, 48), LIPS, slice(8, 9))]
    assert (heights[0] < heights[1]).all() and (heights[1] < heights[2]).all() and (heights[2] <= neck[:, 1]).all()
    assert head_height(puppet.identity.person) > 0


def test_eyes_close_when_it_blinks(puppet, motion):
    lids = motion.face[:, 41, 1] - motion.face[:, 37, 1]
    closed, opened = puppet.performance.blink > 0.9, puppet.performance.blink == 0
    assert opened.any() and lids[opened].min() > 0.004
    if closed.any():
        assert lids[closed].max() < 0.5 * lids[opened].min()
