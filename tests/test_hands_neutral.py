"""The pack's own hand: reproducible, whole, shaped and bending like a hand."""

import numpy as np
import pytest
from emo2.models.hands import FINGER_JOINTS, finger_pose, load_hands
from emo2.models.hands.files import NEUTRAL, read_hand
from emo2.models.hands.neutral import build_neutral, write_neutral
from emo2.models.hands.poses import POSES


@pytest.fixture(scope="module")
def hand():
    return load_hands().right


def posed(pose, spread=0.0):
    rotations = np.stack([finger_pose(pose, side, spread) for side in (0, 1)])[None]
    vertices, joints = load_hands().pose(rotations, np.zeros((1, 2, 3)))
    return vertices[0, 1], joints[0, 1]


def winding_number(point, vertices, faces):
    """How often the mesh encloses the point: 1 inside, 0 outside (van Oosterom and Strackee 1983)."""
    a, b, c = (vertices[faces[:, k]] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    volume = np.einsum("ti,ti->t", a, np.cross(b, c))
    rest = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return np.arctan2(volume, rest).sum() / (2 * np.pi)


def test_the_shipped_file_is_what_the_generator_makes(tmp_path):
    with np.load(NEUTRAL, allow_pickle=False) as shipped:
        made = build_neutral()
        assert set(shipped.files) == set(made)
        for name, array in made.items():
            assert shipped[name].dtype == array.dtype and shipped[name].shape == array.shape, name
            assert np.allclose(shipped[name], array, atol=2e-6), name
    assert NEUTRAL.stat().st_size < 1 << 20


def test_it_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("emo2.models.hands.neutral.build_neutral", lambda: {"v_template": np.zeros(3)})
    assert write_neutral(tmp_path / "new" / "hand.npz").exists()
    monkeypatch.setattr("emo2.models.hands.neutral.build_neutral", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_neutral(tmp_path / "hand.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_mano_s_size_and_names(hand):
    assert len(hand.v_template) <= 778 and hand.weights.shape[1] == 16
    assert hand.shapedirs.shape[-1] == 10 and hand.posedirs.shape[-1] == 135
    assert np.allclose(hand.weights.sum(1), 1) and hand.weights.min() >= 0
    assert np.allclose(hand.j_regressor.sum(1), 1, atol=1e-6)
    assert np.allclose(hand.joints[0], 0, atol=1e-6), "the wrist is the origin"


def test_the_mesh_is_closed_and_faces_outwards(hand):
    edges = hand.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 1
    assert {tuple(e) for e in unique} == {tuple(e[::-1]) for e in unique}
    assert len(hand.v_template) - len(edges) // 2 + len(hand.faces) == 2, "a sphere without holes or handles"
    corners = hand.v_template[hand.faces]
    volume = np.einsum("ti,ti->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 2.5e-4 < volume < 4.5e-4, "an adult's hand has 300 to 400 cubic centimetres"
    assert len(np.unique(hand.faces)) == len(hand.v_template)


@pytest.mark.parametrize("pose", ["flat", "relaxed", "point", "pinch"])
def test_joints_lie_inside_the_skin(hand, pose):
    vertices, joints = posed(pose)
    for number, joint in enumerate(joints):
        if number % 4 or number == 0:
            assert winding_number(joint, vertices, hand.faces) == pytest.approx(1, abs=1e-6), number
    for tip in (4, 8, 12, 16, 20):
        assert np.abs(vertices - joints[tip]).sum(1).min() < 1e-12, "fingertips are vertices"


def test_fingertips_are_the_ends_and_lengths_are_human(hand):
    vertices, joints = posed("flat")
    for finger, (chain, tip) in enumerate(zip(FINGER_JOINTS.values(), joints[4::4])):
        bones = joints[4 * finger + 1 : 4 * finger + 5]
        axis = (bones[3] - bones[2]) / np.linalg.norm(bones[3] - bones[2])
        own = vertices[hand.weights[:, chain[2]] > 0.5]
        assert ((own - tip) @ axis).max() < 5e-4
    lengths = np.linalg.norm(joints[[8, 12, 16, 20]] - joints[[5, 9, 13, 17]], axis=1)
    assert lengths[1] > lengths[2] > lengths[0] > lengths[3], "middle, ring, index, little"
    assert 0.17 < np.linalg.norm(joints[12]) < 0.20
    breadth = np.ptp(vertices[hand.weights[:, 0] > 0.5][:, 2])
    assert 0.07 < breadth < 0.10


@pytest.mark.parametrize("pose", POSES)
def test_bending_keeps_the_volume_and_breaks_nothing(hand, pose):
    flat, _ = posed("flat")
    bent, _ = posed(pose)
    a, b, c = hand.faces.T
    volume = lambda v: np.einsum("ti,ti->", v[a], np.cross(v[b], v[c])) / 6
    assert volume(bent) / volume(flat) == pytest.approx(1, abs=0.12)
    edges = np.unique(np.sort(hand.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)), axis=0)
    length = lambda v: np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1)
    assert length(bent).max() < 0.033, "no triangle is torn wide"


def test_a_fist_brings_the_tips_to_the_palm(hand):
    flat, (skin, fist) = posed("flat")[1], posed("fist")
    fingers = list(FINGER_JOINTS.values())
    for tip in (8, 12, 16, 20):
        assert np.linalg.norm(fist[tip] - fist[tip - 3]) < 0.6 * np.linalg.norm(flat[tip] - flat[tip - 3])
    for chain in fingers[1:]:
        own, end = hand.weights[:, list(chain)].sum(1) > 0, hand.weights[:, chain[2]] > 0.5
        gap = np.linalg.norm(skin[end][:, None] - skin[~own][None], axis=-1).min()
        assert gap < 0.012, "each finger's end touches the palm or the thumb, or nearly"
    point = posed("point")[1]
    assert np.linalg.norm(point[8]) > 0.15 > np.linalg.norm(point[12])


def test_shape_numbers_do_what_they_say(hand):
    def measure(number):
        betas = np.zeros((1, 1, 10))
        betas[..., number] = 2
        identity = np.tile([1.0, 0, 0, 0], (1, 2, 16, 1))
        vertices, joints = load_hands().pose(identity, np.zeros((1, 2, 3)), betas)
        return vertices[0, 1], joints[0, 1]

    flat, joints = posed("flat")
    middle = lambda j: np.linalg.norm(j[12] - j[9])
    assert middle(measure(0)[1]) == pytest.approx(1.12 * middle(joints), rel=0.01)
    assert middle(measure(1)[1]) == pytest.approx(1.12 * middle(joints), rel=0.03)
    assert np.linalg.norm(measure(1)[1][9]) == pytest.approx(np.linalg.norm(joints[9]), rel=0.03)
    assert np.ptp(measure(3)[0][:, 2]) > np.ptp(flat[:, 2]) + 0.002
    assert np.linalg.norm(measure(6)[1][4] - measure(6)[1][1]) > np.linalg.norm(joints[4] - joints[1]) * 1.08


def test_reading_it_as_a_mano_file_works_in_smplx(tmp_path):
    import smplx
    import torch

    copy = tmp_path / "MANO_RIGHT.npz"
    copy.write_bytes(NEUTRAL.read_bytes())
    reference = smplx.MANO(str(copy), use_pca=False, flat_hand_mean=True, ext="npz")
    with torch.no_grad():
        vertices = reference().vertices[0].numpy()
    assert np.abs(vertices - read_hand(copy).v_template).max() < 1e-6
