"""The comparison: one budget, channels that do something, strengths that reach their target, waiting rows."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import ROOT

from cinn_nb.classical import mean_psnr
from cinn_nb.experiment import compute, default_parameters, notebook_module
from cinn_nb.methods import crops_of, make_attack, make_method, trial_bits
from cinn_nb.phantoms import phantom
from cinn_nb.rival_inns import long_trainings

STEM = "28_comparison"
COMPARISON = notebook_module(STEM)
TRAINED = [(name, way) for name in COMPARISON.NETWORKS for way in COMPARISON.BOTH_WAYS]


def parameters(profile, **others):
    "The notebook's own parameters, but for some."
    return SimpleNamespace(**default_parameters(STEM) | {"profile": profile} | others)


@pytest.mark.parametrize("name, way", TRAINED)
def test_every_training_fills_the_same_budget(name, way):
    seconds = COMPARISON.NETWORKS[name][5][list(COMPARISON.BOTH_WAYS).index(way)]
    for budget in (7200, 100):
        recipe = COMPARISON.trained(parameters("full", budget=budget), name, way, 0).spec["recipe"]
        assert budget - seconds < recipe["steps"] * seconds <= budget
    assert (recipe["noise"] == "channels") == (way == "channels")
    assert COMPARISON.trained(parameters("full"), name, way, 0).spec["recipe"]["steps"] > 1000


def test_a_rival_is_trained_as_15b_prepares_it():
    for way, theirs in (("own", "own"), ("channels", "ours")):
        ours = COMPARISON.trained(parameters("full"), "compact flow", way, 0)
        same = long_trainings({("compact", theirs): ours.spec["recipe"]["steps"]}, validation=("val", 4))
        rest = same["compact", theirs].spec | {"label": ours.spec["label"]}
        assert ours.spec == rest and ours.uses == same["compact", theirs].uses


def test_our_networks_are_trained_in_the_same_loop_without_the_second_reader():
    for name, subnet in (("CINN, same budget", None), ("pointwise, same budget", "pointwise")):
        spec = COMPARISON.trained(parameters("full"), name, "channels", 0).spec
        rival = COMPARISON.trained(parameters("full"), "ReDMark", "channels", 0).spec
        assert spec["network"].get("subnet") == subnet and spec["network"]["two_way"] is False
        told = ("noise", "loss", "lr", "goal", "batch", "size", "quality_low", "seconds")
        assert [spec["recipe"][key] for key in told] == [rival["recipe"][key] for key in told]


def test_every_channel_but_none_changes_an_image_of_the_same_shape():
    found, lacking = COMPARISON.attacks_of(parameters("full"))
    image = phantom("chest", 128)
    same = []
    for _, place, attack in found:
        after = make_attack(**attack)(image)
        assert after.shape == image.shape and after.dtype == np.uint8
        same += [place] * np.array_equal(after, image)
    assert same == ["no attack"]
    places = [place for _, place, _ in found]
    assert len(set(places)) == len(places) and len(places) + len(lacking) == 39
    assert list(dict.fromkeys(family for family, _, _ in found)) == list(COMPARISON.PLACES)


@pytest.mark.parametrize("options", [dict(name="qim-dct"), dict(name="network", model="cinn")], ids=str)
def test_a_strength_reaches_its_target(options):
    crops, strengths = crops_of("embedded", 1), []
    for target in (42, 46):
        strength, found = COMPARISON.strength_at(options, crops, target, 12)
        assert abs(found - target) < 0.1
        strengths.append(strength)
    assert strengths[1] < strengths[0]


@pytest.mark.parametrize("options", [dict(model="cinn"), dict(model="lattice", survive=50)], ids=str)
def test_a_network_that_is_asked_once_writes_the_same_images(options):
    crops, options = crops_of("embedded", 2), dict(name="network") | options
    for strength in (0.5, 1.5):
        marked = mean_psnr(crops=crops, **options, strength=strength)
        assert abs(COMPARISON.loudness(options, crops)(strength) - marked) < 1e-3


def test_the_clock_changes_nothing_and_adds_no_reader():
    crop, plain = crops_of("embedded", 1)[0], make_method("qim-dct")
    bits, timed = trial_bits(128, crop), COMPARISON.Clocked(make_method("qim-dct"))
    stego = timed.embed(crop.image, bits)
    assert np.array_equal(stego, plain.embed(crop.image, bits))
    assert timed.milliseconds()["extract_ms"] is None
    assert np.array_equal(timed.soft(stego), plain.soft(stego))
    assert timed.milliseconds()["embed_ms"] > 0 and timed.milliseconds()["extract_ms"] > 0
    assert hasattr(timed, "soft") and not hasattr(COMPARISON.Clocked(make_method("promise")), "soft")


def test_in_full_there_is_one_crop_for_each_group():
    with open(ROOT / "data" / "test_crops.csv", newline="", encoding="utf-8") as stream:
        groups = {row["group"] for row in csv.DictReader(stream)}
    asked = {run.spec["label"]: run.spec["crops"] for run in COMPARISON.runs(parameters("full"))}
    for label, crops in asked.items():
        assert crops == COMPARISON.FEWER.get(label.partition(", ")[0], len(groups))
    assert COMPARISON.FEWER == {"HiNet form": 12}  # all other rows have every group


def test_rows_wait_for_their_training_and_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setenv("CINN_STORE", str(tmp_path))
    for profile in ("quick", "full"):
        asked = COMPARISON.runs(parameters(profile))
        waiting = [run for run in asked if run not in COMPARISON.ready(parameters(profile), asked)]
        assert waiting == ([run for run in asked if run.needs] if profile == "full" else [])
    assert len(waiting) == len(TRAINED)


def test_what_cannot_be_measured_is_a_row_with_a_reason(monkeypatch):
    monkeypatch.setattr(COMPARISON, "why_not", lambda name: f"{name} is not here")
    p = parameters("quick")
    left_out = {row[0]: row[4] for row in COMPARISON.all_rows(p) if row[4]}
    coded = {f"{name}, RS" for name in COMPARISON.CODED}
    assert set(left_out) == {*COMPARISON.SLOW, *COMPARISON.RIVALS, *coded}
    assert left_out["wam"] == "wam is not here"
    assert not set(left_out) & {run.spec["label"] for run in COMPARISON.runs(p)}
    slow = COMPARISON.runs(parameters("quick", rows="QIM, verified"))
    assert [run.spec["label"] for run in slow] == ["QIM, verified"] and slow[0].spec["targets"] == []


def test_one_trained_row_from_training_to_table(tmp_path, monkeypatch):
    monkeypatch.setenv("CINN_STORE", str(tmp_path))
    done = compute(STEM, "quick", workers=1, device="cpu", rows="ReDMark, channels")
    rows, notes = done.table(), done.record(done.runs[0])["notes"]
    assert list(rows.level.unique()) == ["native", "42 dB"] and set(rows.raw_bits) == {256}
    assert list(rows.family.unique()) == list(COMPARISON.PLACES)
    assert abs(rows[rows.level == "42 dB"].psnr.iloc[0] - 42) < 0.5
    assert abs(rows[rows.level == "native"].psnr.iloc[0] - 42) > 1
    assert notes["parameters"] == 123_585 and notes["bits"] == 128 and notes["chosen"][0]["level"] == "42 dB"
