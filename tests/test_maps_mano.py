"""MANO maps: what the colours say, which hands are drawn, and that clips are pieces of the whole."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands import finger_pose, load_hands, rest
from emo2.models.maps import mano_maps
from emo2.models.maps.mano import decode
from emo2.models.types import Framing, Motion
from hands_cases import random_motion


@pytest.fixture(scope="module")
def hands():
    return load_hands()


def raised(**fields) -> Motion:
    """One frame: flat hands held up, palms to the camera, left and right of the neck."""
    rotations = np.stack([finger_pose("flat", hand, 0.2) for hand in (0, 1)])[None]
    rotations[0, :, 0] = rest.RAISED
    framing = Framing((0.5, 0.5), 0.5, (256, 256))
    return Motion(rotations, np.array([[[0.2, 0.1, 0], [-0.2, 0.1, 0]]]), 25, framing, **fields)


def test_colours_tell_side_part_and_direction(hands):
    motion = raised()
    side, part, normals = decode(mano_maps(motion, hands))
    half = motion.framing.size[1] // 2
    assert set(np.unique(side[0, :, half:])) == {-1, 0}, "the person's left hand is on the picture's right"
    assert set(np.unique(side[0, :, :half])) == {-1, 1}
    _, joints = hands.pose(motion.rotations, motion.wrists())
    pixels = np.floor(motion.framing.project(joints) * 256).astype(int)
    # Midway along each last bone the part is that bone's joint; the middle of the palm is the wrist's.
    for hand in (0, 1):
        for last, (a, b) in zip((15, 3, 6, 12, 9), ((3, 4), (7, 8), (11, 12), (15, 16), (19, 20))):
            x, y = (pixels[0, hand, a] + pixels[0, hand, b]) // 2
            assert part[0, y, x] == last and side[0, y, x] == hand
        x, y = (pixels[0, hand, 0] + pixels[0, hand, 9]) // 2
        assert part[0, y, x] == 0
        assert np.linalg.norm(normals[0, y, x]) < 0.5, "the palm faces the camera"
    assert set(np.unique(part)) == set(range(-1, 16))


def test_background_is_black_and_hands_never_are(hands):
    maps = mano_maps(random_motion(1), hands, (128, 96))
    side, part, _ = decode(maps)
    assert np.array_equal(side < 0, ~maps.any(-1)) and np.array_equal(side < 0, part < 0)
    assert (maps[side >= 0][:, 2] >= 32).all() and (maps[side >= 0][:, 2] <= 249).all()


def test_labels_survive_noise_of_three_levels(hands):
    maps = mano_maps(random_motion(2), hands, (128, 96))
    noisy = maps.copy()
    drawn = maps[..., 2] > 0
    noisy[drawn] = np.clip(
        maps[drawn].astype(int) + np.random.default_rng(0).integers(-3, 4, maps[drawn].shape), 0, 255
    )
    for clean, dirty in zip(decode(maps)[:2], decode(noisy)[:2]):
        assert np.array_equal(clean, dirty)


def test_hands_that_are_not_visible_are_not_drawn(hands):
    motion = random_motion(3, 4, visible=np.array([[1, 1], [0, 1], [1, 0], [0, 0]], bool))
    side = decode(mano_maps(motion, hands, (128, 96)))[0]
    assert [set(np.unique(frame)) for frame in side] == [{-1, 0, 1}, {-1, 1}, {-1, 0}, {-1}]


def test_clips_are_pieces_of_the_whole(hands):
    motion = random_motion(4, 70)
    whole = mano_maps(motion, hands, (64, 48))
    pieces = [mano_maps(motion, hands, (64, 48), start, min(13, 70 - start)) for start in range(0, 70, 13)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(mano_maps(motion.frames(20, 30), hands, (64, 48)), whole[20:30])
    assert mano_maps(motion, hands, (64, 48), 70, 0).shape == (0, 64, 48, 3)
    assert len(mano_maps(motion, hands, (64, 48), 60)) == 10


@pytest.mark.parametrize("start, count", [(0, 7), (6, 1), (-1, 2), (7, 0)])
def test_frames_past_the_end_are_an_error(hands, start, count):
    with pytest.raises(EMO2Error, match="6 frames"):
        mano_maps(random_motion(5), hands, (64, 48), start, count)


@pytest.mark.parametrize("size", [(704, 512), (352, 352), (200, 100), (97, 301)])
def test_another_size_covers_the_picture_like_the_reference_image(hands, size):
    """Drawing small equals drawing at the framing's size, scaled and cut: same places, to a pixel."""
    motion = random_motion(6, 3)
    fitted = motion.framing.fitted(size)
    direct = mano_maps(motion.replace(framing=fitted), hands)
    assert np.array_equal(mano_maps(motion, hands, size), direct)
    _, joints = hands.pose(motion.rotations, motion.wrists())
    centre = (fitted.project(joints).mean(2) * np.array(size[::-1])).astype(int)
    side = decode(direct)[0]
    for frame in range(3):
        for hand in range(2):
            x, y = centre[frame, hand]
            if 2 <= x < size[1] - 2 and 2 <= y < size[0] - 2:
                near = side[frame, max(0, y - 30) : y + 30, max(0, x - 30) : x + 30]
                assert (near == hand).any()


def test_body_offset_and_translation_move_alike(hands):
    motion = random_motion(7, 2)
    step = np.array([0.03, -0.02, 0.1], np.float32)
    by_hand = motion.replace(translations=motion.translations + step)
    by_body = motion.replace(body_offset=np.tile(step, (2, 1)))
    a, b = mano_maps(by_hand, hands, (128, 96)), mano_maps(by_body, hands, (128, 96))
    assert (a != b).any(-1).sum() <= 2 and (a != mano_maps(motion, hands, (128, 96))).any()


def test_hands_behind_the_camera_and_far_outside(hands):
    motion = random_motion(8, 3)
    depth = motion.framing.root()[2]
    offsets = np.array([[0, 0, -2 * depth], [40, 0, 0], [0, 0, -depth + 0.2]], np.float32)
    maps = mano_maps(motion.replace(body_offset=offsets), hands, (128, 96))
    assert not maps[0].any() and not maps[1].any()


def test_the_mirror_image_of_the_motion_gives_the_mirror_image_of_the_map(hands):
    """The left hand of a mirrored motion is drawn where the right hand was, seen in a mirror."""
    from emo2.models.hands.quaternions import mirror

    motion = random_motion(9, 3, framing=Framing((0.5, 0.4), 0.4, (128, 96)))
    flip = np.array([-1, 1, 1], np.float32)
    mirrored = motion.replace(
        rotations=mirror(motion.rotations[:, ::-1]), translations=motion.translations[:, ::-1] * flip
    )
    side, part, normals = decode(mano_maps(motion, hands))
    mirror_side, mirror_part, mirror_normals = (x[:, :, ::-1] for x in decode(mano_maps(mirrored, hands)))
    other = np.where(mirror_side >= 0, 1 - mirror_side, -1)
    same = (side == other) & (part == mirror_part)
    assert (~same).sum() <= 0.01 * (side >= 0).sum()
    both = same & (side >= 0)
    assert np.abs(normals[both] - mirror_normals[both] * [-1, 1]).mean() < 0.01
