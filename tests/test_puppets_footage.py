"""Puppets as footage has them: unsharp hands are found in wrong places, and confidence says so."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.runner.cli import main
from emo2.training.puppets.cache import PuppetCache, write_cache
from emo2.training.puppets.footage import as_footage
from emo2.training.puppets.world import Puppet
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = (64, 48)


@pytest.fixture(scope="module")
def people():
    return [Puppet.draw(number, seconds=4.0) for number in range(12)]


def test_without_a_share_nothing_is_changed(people):
    puppet, found = as_footage(people[0], 0.0)
    assert puppet is people[0] and found is people[0].motion


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_hands_are_unsharp_in_about_that_share_of_the_time(people, share):
    blurred = [as_footage(person, share)[0].performance.blur > 1.0 for person in people]
    plain = [person.performance.blur > 1.0 for person in people]
    assert np.mean(np.concatenate(blurred)) == pytest.approx(share, abs=0.15)
    assert np.mean(np.concatenate(blurred)) > np.mean(np.concatenate(plain))


def test_a_hand_is_found_the_worse_the_less_confidence_it_has(people):
    away, turned, sure = [], [], []
    for person in people:
        puppet, found = as_footage(person, 0.5)
        there = found.visible
        assert np.array_equal(there, person.motion.visible) and not found.confidence[~there].any()
        away.append(np.linalg.norm(found.wrists() - puppet.motion.wrists(), axis=-1)[there])
        turned.append(angle(found.rotations[:, :, 0], puppet.motion.rotations[:, :, 0])[there])
        sure.append(found.confidence[there])
        fingers = np.abs(found.rotations[:, :, 1:] - puppet.motion.rotations[:, :, 1:])
        assert not fingers.any(), "fingers are found as they are"
    away, turned, sure = (np.concatenate(values) for values in (away, turned, sure))
    assert np.median(away[sure > 0.95]) < 0.005 < 0.02 < np.median(away[sure < 0.5])
    assert np.median(turned[sure > 0.95]) < 0.05 < 0.2 < np.median(turned[sure < 0.5])
    assert 0.3 < np.mean(sure < 0.8) < 0.7


def test_arms_are_found_at_the_hands_and_what_is_painted_stays(people):
    puppet, found = as_footage(people[3], 0.5)
    assert np.array_equal(puppet.motion.translations, people[3].motion.translations)
    wrists = found.framing.project(found.wrists())
    assert np.abs(found.keypoints[:, [7, 4]] - wrists).max() < 0.02
    assert not np.allclose(found.keypoints, people[3].motion.keypoints)
    pictures = puppet.video(SIZE, 0, 30), people[3].video(SIZE, 0, 30)
    assert 0 < np.abs(pictures[0].astype(int) - pictures[1]).mean() < 2, "unsharp hands are all that differs"


@given(st.integers(0, 50), st.floats(0.01, 0.9))
@settings(max_examples=15, deadline=None)
def test_any_share_gives_a_motion_that_is_one(number, share):
    person = Puppet.draw(number, seconds=1.0)
    puppet, found = as_footage(person, share)
    assert len(found) == len(person.motion) and found.confidence.min() >= 0 and found.confidence.max() <= 1
    assert puppet.performance.blur.shape == (len(found), 2) and np.isfinite(puppet.performance.blur).all()
    again = as_footage(person, share)[1]
    assert np.array_equal(again.translations, found.translations)


def test_records_have_the_pictures_of_one_and_the_motion_of_the_other(tmp_path):
    write_cache(tmp_path, 2, seed=4, frames=8, size=SIZE, unsure=0.6)
    for index in range(2):
        record = PuppetCache(tmp_path)[index]
        person = Puppet.draw(4 + index, seconds=len(record.waveform) / 16000)
        puppet, found = as_footage(person, 0.6)
        part = slice(record.start, record.start + 8)
        assert np.array_equal(record.frames, puppet.video(SIZE, record.start, 8))
        assert np.array_equal(record.motion.translations, found.translations[part])
        assert np.array_equal(record.confidence, found.confidence[part])


def test_a_folder_holds_puppets_of_one_kind(tmp_path, capsys):
    assert main(["puppets", "--out", str(tmp_path), "--count", "1", "--frames", "2"]) == 0
    assert main(["puppets", "--out", str(tmp_path), "--count", "1", "--frames", "2", "--unsure", "0.5"]) == 2
    assert "unsure 0.0" in capsys.readouterr().err


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan")])
def test_a_share_that_is_none_is_named(people, share):
    with pytest.raises(EMO2Error, match="unsure"):
        as_footage(people[0], share)
