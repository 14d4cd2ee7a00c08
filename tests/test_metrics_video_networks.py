"""SyncNet, its sound features and its scores; faces through ONNX networks."""

import numpy as np
import pytest
import torch
from emo2.evaluation.video import faces, sync, syncnet
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_video_cases import noise, write_onnx

LIP_PLACES = {0: (96, 3, 5, 7, 7), 4: (256, 96, 1, 5, 5), 8: (256, 256, 1, 3, 3), 11: (256, 256, 1, 3, 3),
              14: (256, 256, 1, 3, 3), 18: (512, 256, 1, 6, 6)}  # fmt: skip
SOUND_PLACES = {0: (64, 1, 3, 3), 4: (192, 64, 3, 3), 8: (384, 192, 3, 3), 11: (256, 384, 3, 3),
                14: (256, 256, 3, 3), 18: (512, 256, 5, 4)}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return syncnet.SyncNet().eval()


def test_syncnet_has_the_names_and_shapes_of_the_public_weights(network):
    state = network.state_dict()
    for tower, places in (("netcnnlip", LIP_PLACES), ("netcnnaud", SOUND_PLACES)):
        for index, shape in places.items():
            assert tuple(state[f"{tower}.{index}.weight"].shape) == shape
            assert tuple(state[f"{tower}.{index + 1}.running_mean"].shape) == shape[:1]
    for head in ("netfcaud", "netfclip"):
        assert tuple(state[f"{head}.0.weight"].shape) == (512, 512)
        assert tuple(state[f"{head}.3.weight"].shape) == (1024, 512)
        assert f"{head}.1.running_var" in state
    layers = 2 * len(LIP_PLACES) + 2
    # Convolutions and linear layers: weight and bias; each normalisation: five.
    assert len(state) == 2 * (layers + 2) + 5 * layers
    with torch.no_grad():
        assert network.hear(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
        assert network.see(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)


def test_syncnet_is_read_strictly_and_without_running_the_file(tmp_path, network):
    path = tmp_path / "evaluation" / "syncnet_v2.model"
    path.parent.mkdir()
    torch.save(network.state_dict(), path)
    again = syncnet.load_syncnet(path)
    assert torch.equal(again.netcnnlip[0].weight, network.netcnnlip[0].weight)
    state = dict(network.state_dict())
    state.pop("netfclip.3.bias")
    torch.save(state, path)
    with pytest.raises(EMO2Error, match=r"syncnet_v2\.model"):
        syncnet.load_syncnet(path)
    torch.save(print, path)
    with pytest.raises(EMO2Error, match=r"syncnet_v2\.model"):
        syncnet.load_syncnet(path)


def test_sync_is_missing_without_its_weights(tmp_path):
    for measured in sync.sync([noise(0, 8, 8, 8)], [np.zeros(5120)], [np.tile([1, 1, 6, 6], (8, 1))], [tmp_path]):
        assert "syncnet_v2.model" in measured.missing and measured.value is None


def test_sync_of_a_clip_runs_through_the_whole_network(tmp_path, network):
    (tmp_path / "evaluation").mkdir()
    torch.save(network.state_dict(), tmp_path / "evaluation" / "syncnet_v2.model")
    sound = np.random.default_rng(0).normal(0, 0.1, 16000 * 7 // 25)
    boxes = np.tile([4, 4, 28, 28], (7, 1))
    c, d = sync.sync([noise(0, 7, 32, 32)], [sound], [boxes], [tmp_path])
    assert c.better == "higher" and d.better == "lower"
    assert c.value >= 0 and d.value > 0 and c.clips.shape == (1,)
    with pytest.raises(EMO2Error, match="six frames"):
        sync.agreement(network, noise(0, 5, 224, 224), sound)


@given(st.integers(-12, 12), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_the_lag_of_moved_embeddings_is_found(lag, seed):
    rng = np.random.default_rng(seed)
    long = torch.from_numpy(rng.normal(size=(90, 16))).float()
    seen, heard = long[20:70], long[20 - lag : 70 - lag]
    confidence, distance, found = sync.from_embeddings(seen, heard)
    assert found == lag
    inside = (50 - abs(lag)) / 50
    assert distance <= (1 - inside) * 8 + 1e-3 and confidence > 0


def test_mfcc_of_a_tone_and_of_silence():
    rate = sync.RATE
    tone = 3000 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    cepstra = sync.mfcc(tone)
    assert cepstra.shape == (99, 13)
    # Pre-emphasis multiplies a tone by |1 - 0.97 e^(-iw)|; the energy is that of 400 samples, by Parseval about half of
    # the two-sided spectrum's sum.
    gain = abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / rate))
    energy = (3000 * gain) ** 2 / 2 * 400 / 2
    assert cepstra[50, 0] == pytest.approx(np.log(energy), abs=0.05)
    silence = sync.mfcc(np.zeros(1000))
    assert np.isfinite(silence).all() and silence[0, 0] == pytest.approx(np.log(np.finfo(float).eps))
    # A louder sound moves the energy alone.
    louder = sync.mfcc(tone * 2)
    np.testing.assert_allclose(louder[:, 1:], cepstra[:, 1:], atol=1e-6)
    np.testing.assert_allclose(louder[:, 0] - cepstra[:, 0], np.log(4), atol=1e-9)


def test_face_crops_hold_the_box_and_grey_outside():
    video = np.zeros((3, 60, 60, 3), np.uint8)
    video[:, 20:40, 20:40] = 200
    crops = sync.face_crops(video, np.tile([20, 20, 40, 40], (3, 1)))
    # 10 half a side, 40 % more round it, twice that below: the box's corner lies 4 of 28 pixels in, its top at the top.
    assert crops.shape == (3, 224, 224, 3)
    assert crops[0, 20, 50, 0] == 200 and crops[0, 20, 10, 0] == 0 and crops[0, 200, 112, 0] == 0
    corner = sync.face_crops(video, np.tile([0, 0, 20, 20], (3, 1)))
    assert (corner[0, 100, :20] == 110).all()


@given(st.floats(0.2, 5), st.floats(-3, 3), st.floats(-40, 40), st.floats(-40, 40))
@settings(max_examples=40, deadline=None)
def test_a_similarity_is_found_exactly(scale, angle, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([[3.0, 1.0], [9.0, 2.0], [6.0, 7.0]])
    matrix = faces.similarity(points, points @ turn.T + [x, y])
    np.testing.assert_allclose(matrix, np.c_[turn, [x, y]], atol=1e-9 * (1 + abs(x) + abs(y) + scale))


def test_an_aligned_face_has_its_eyes_where_arcface_wants_them():
    frame = np.zeros((200, 160, 3), np.uint8)
    points = np.array([[60, 80], [100, 84], [80, 104]])
    for x, y in points:
        frame[y - 2 : y + 3, x - 2 : x + 3] = 255
    face = faces.aligned(frame, points + 0.0)
    for x, y in np.round(faces.EYES_NOSE).astype(int):
        assert face[y - 4 : y + 5, x - 4 : x + 5].max() > 200
    with pytest.raises(EMO2Error, match="eyes and a nose"):
        faces.similarity(np.ones((3, 2)), faces.EYES_NOSE)


def test_face_metrics_are_missing_without_their_networks(tmp_path):
    clip, place = noise(0, 4, 64, 48), np.array([[15.0, 20], [30, 20], [22, 30]])
    pair = [(place, np.tile(place, (4, 1, 1)))]
    for measured in (
        faces.csim([clip[0]], [clip], pair, [tmp_path]),
        faces.efid([clip], [clip], [(np.tile(place, (4, 1, 1)),) * 2], [tmp_path]),
    ):
        assert measured.value is None and ("onnx" in measured.missing)


def test_face_metrics_through_onnx_files(tmp_path):
    pytest.importorskip("onnxruntime")
    write_onnx(tmp_path / "evaluation" / "arcface.onnx", 112)
    write_onnx(tmp_path / "evaluation" / "expression.onnx", 224)
    place = np.array([[15.0, 20], [30, 20], [22, 30]])
    moving = np.tile(place, (6, 1, 1))
    same, other = np.repeat(noise(0, 1, 64, 48), 6, 0), np.repeat(noise(1, 1, 64, 48), 6, 0)
    measured = faces.csim([same[0]] * 2, [same, other], [(place, moving)] * 2, [tmp_path], stride=2)
    assert measured.clips[0] == pytest.approx(1, abs=1e-4) and measured.clips[1] < 0.5
    assert measured.network == "arcface.onnx"
    zero = faces.efid([same, other], [same, other], [(moving, moving)] * 2, [tmp_path])
    far = faces.efid([same, same], [other, other], [(moving, moving)] * 2, [tmp_path])
    assert zero.value == pytest.approx(0, abs=1e-3) and far.value > 100
    (tmp_path / "evaluation" / "arcface.onnx").write_bytes(b"nothing")
    with pytest.raises(EMO2Error, match="arcface"):
        faces.csim([same[0]], [same], [(place, moving)], [tmp_path])
