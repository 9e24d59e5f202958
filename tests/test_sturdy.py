"The sturdy search: properties that need more trials, or more files, than its notebook has room for."

import numpy as np
import pytest
import torch

from cinn_nb.channels import members, simulate
from cinn_nb.dataset import embedded_images
from cinn_nb.dct import psnr
from cinn_nb.informed import Layout, carrier_values, waves
from cinn_nb.jpeg import jpeg_file
from cinn_nb.mark import PROMISES, EmbedError
from cinn_nb.search import PromisedMark, SurvivalError, cut_out, paste, word_of
from cinn_nb.sturdy import CERTAIN, CODE_CHECKS, END, LATTICES, ROUGH, SPENT, TRIED, UNSURE
from cinn_nb.sturdy import SturdyLayout, SturdyMark
from cinn_nb.sturdy import all_sturdy, believed, cheapest_moves, decoded_words, erase_sturdy, forecast_of
from cinn_nb.sturdy import forecasts, half_way, look_sturdy
from cinn_nb.sturdy import panel, read_sturdy, second_saves, start_sturdy, sturdy_search

PAYLOAD = b"ward 3"
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def cover():
    return embedded_images()["phantom_chest"]


@pytest.fixture(scope="module")
def marked(cover):
    "A mark for the family `jpeg` at 50, with its draft."
    layout = SturdyLayout(32, 32, 32, 40)
    return sturdy_search(cover, word_of(PAYLOAD, 32, CODE_CHECKS), layout, panel("jpeg", 50))


def steps_of(lattice: int) -> tuple[float, ...]:
    return tuple(SturdyLayout(32, 32, 32, lattice).steps)


@pytest.mark.parametrize("family, quality, lattice", [("jpeg", 50, 50), ("shared", 80, 60), ("jpeg", 70, 70)])
def test_the_table_says_what_the_formula_says(family, quality, lattice):
    table = forecast_of(panel(family, quality), steps_of(lattice))
    rng = RNG(lattice)
    x = (rng.integers(-END * ROUGH - 50, END * ROUGH + 50, (3, 400)) / ROUGH).astype(np.float32)
    wave, sign = rng.integers(0, 4, 400), rng.choice([-1, 1], 400).astype(np.float32)
    told = forecasts(table, x, wave, sign)
    assert told.shape == (3, 400, len(table.first)) and told.dtype == np.float32
    for row, values in zip(told, x):
        assert np.abs(row - table.saved(np.abs(values), wave, sign)).max() < 1e-5
        clear = ~near_a_line(table, values, wave)  # at a line the two sides of 0 are told apart by a rounding
        assert np.abs(row - table.saved(values, wave, sign))[clear].max() < 1e-5


def near_a_line(table, x, wave):
    "Where a first save of any channel is about to decide otherwise: bool (N, Q)."
    one = table.one[:, wave].T
    off = np.abs(np.abs(x[:, None] / one) % 1 - 0.5) * one
    return (off < 1e-3) | (np.abs(off - UNSURE) < 1e-3) | table.twice


def test_forecast_of_one_save_is_what_the_exact_layer_reads():
    "In the middle of the gray scale, where nothing is clipped; near a decision line it is the worse of two."
    steps = steps_of(50)
    each = panel("jpeg", 50)
    table = forecast_of(each, steps)
    blocks = np.clip(128 + 14 * RNG(0).normal(size=(1500, 64)), 30, 225).round()
    chosen = np.arange(1, 52, 5)  # Pillow's saves
    image = paste(blocks)[0, 0].byte().numpy()
    after = torch.tensor(simulate(image, [each.channel(i) for i in chosen]), dtype=torch.float32)[:, None]
    a = (cut_out(after, len(blocks)) - 128) @ torch.tensor(waves().T / np.array(steps), dtype=torch.float32)
    read = believed(a).permute(1, 2, 0).numpy()  # (N, 4, C)
    x, wave = ((blocks - 128) @ waves().T).astype(np.float32), np.tile(np.arange(4), (len(blocks), 1))
    both = [
        forecasts(table, x[None], wave, s * np.ones_like(x))[0][..., table.group[chosen]] for s in (-1, 1)
    ]
    lowest, highest = both[1], -both[0]  # what a pessimist says who wants a 1, or a 0
    slack = 0.35  # pixels are rounded after the save, and the grid is 1/8 gray level
    assert ((lowest - slack <= read) & (read <= highest + slack)).mean() > 0.99
    assert ((lowest > 0) & (read <= 0)).mean() < 0.01 and ((highest < 0) & (read >= 0)).mean() < 0.01
    assert (highest - lowest < 1e-6).mean() > 0.5  # mostly it is sure


def test_a_mark_for_jpeg_is_read_after_real_files_and_all_stand_ins(cover, marked):
    stego, draft = marked
    assert psnr(cover, stego) > 50
    files = [jpeg_file(stego, q) for q in range(50, 101)]
    stood_in = simulate(stego, [c for c in draft.panel.firsts if c.steps])
    known = simulate(stego, list(members("jpeg", 50)))
    word = np.frombuffer(word_of(PAYLOAD, 32, CODE_CHECKS), np.uint8)
    for images in (np.stack(files), stood_in, known):
        x = torch.tensor(images, dtype=torch.float32)[:, None]
        soft = read_sturdy(carrier_values(x, 32, 32), draft.layout).numpy()
        wrong = ((soft > 0) != draft.bits.astype(bool)).reshape(len(x), 32, -1).any(-1).sum(1)
        assert wrong.max() <= SPENT
    assert len(word) == 32
    for q in (50, 64, 100):
        assert SturdyMark().read(jpeg_file(stego, q)).payload == PAYLOAD


def test_pairs_are_proved_as_real_files_are_read(cover):
    each, layout = panel("shared", 94), SturdyLayout(32, 32, 32, 60)
    stego, draft = sturdy_search(cover, word_of(PAYLOAD, 32, CODE_CHECKS), layout, each)
    rows = np.flatnonzero(each.twice)
    x = torch.tensor(np.stack([each.channel(i)(stego) for i in rows]), dtype=torch.float32)[:, None]
    soft = read_sturdy(carrier_values(x, 32, 32), layout).numpy()
    wrong = ((soft > 0) != draft.bits.astype(bool)).reshape(len(x), 32, -1).any(-1).sum(1)
    assert wrong.max() <= CODE_CHECKS // 2
    second_saves(draft, np.repeat(each.twice[:, None], layout.L, 1))
    assert draft.exact[rows].all() and np.abs(draft.soft[rows] - soft).max() < 1e-3


def test_a_look_at_what_has_changed_is_a_look_at_everything(cover):
    each, layout = panel("jpeg", 50), SturdyLayout(32, 32, 32, 50)
    word, rng = word_of(PAYLOAD, 32, CODE_CHECKS), RNG(1)
    step_by_step = start_sturdy(cover, word, layout, each, 0.1)
    for _ in range(3):
        bits = rng.integers(0, layout.L, 5)
        step_by_step.changes[1, bits] = rng.integers(-9, 10, (5, 3, 64))
        look_sturdy(step_by_step)
    at_once = start_sturdy(cover, word, layout, each, 0.1)
    at_once.changes[:] = step_by_step.changes
    look_sturdy(at_once)
    assert np.abs(step_by_step.soft - at_once.soft).max() < 1e-4


def test_neither_kind_of_mark_reads_the_other(cover, marked):
    stego, _ = marked
    quiet = PromisedMark(50).find(cover, PAYLOAD)
    assert PromisedMark().read(quiet).payload == PAYLOAD and SturdyMark().read(stego).payload == PAYLOAD
    assert SturdyMark().read(quiet) is None and PromisedMark().read(stego) is None
    for lattice in LATTICES:
        sturdy = SturdyLayout(32, 32, 32, lattice)
        assert 0.4 < (sturdy.signs == Layout(32, 32, 32, lattice).signs).mean() < 0.6


def test_no_mark_in_noise_or_in_unmarked_images():
    images = [RNG(i).integers(0, 256, (128, 128), np.uint8) for i in range(8)]
    images += [image[:128, :128] for image in embedded_images().values() if min(image.shape) >= 128]
    assert len(images) > 16
    assert not any(list(all_sturdy(np.ascontiguousarray(image))) for image in images)


def test_erase_leaves_nothing():
    "In a small image, where few word lengths have to be tried in a hundred files."
    small = np.ascontiguousarray(embedded_images()["phantom_chest"][64:192, 64:192])
    layout = SturdyLayout(32, 16, 16, 25)
    stego, draft = sturdy_search(small, word_of(PAYLOAD, 32, CODE_CHECKS), layout, panel("jpeg", 50))
    assert SturdyMark().read(stego).payload == PAYLOAD
    gone = erase_sturdy(stego)
    assert psnr(stego, gone) > 40
    assert not list(all_sturdy(gone))
    for q in (20, 50, 75, 95):
        assert SturdyMark().read(jpeg_file(gone, q)) is None
    assert erase_sturdy(gone) is gone
    assert not np.array_equal(half_way(stego, draft.layout, 1), half_way(stego, draft.layout, 0))


def test_an_image_that_is_no_multiple_of_eight_keeps_its_rest(cover, marked):
    stego, draft = marked
    wide = np.pad(cover, ((0, 3), (0, 5)), constant_values=77)
    word = word_of(PAYLOAD, 32, CODE_CHECKS)
    out, _ = sturdy_search(wide, word, draft.layout, draft.panel)
    assert (out[256:] == 77).all() and (out[:, 256:] == 77).all()
    assert (out[:256, :256] == stego).all()


WRONG = {
    "another family": (
        lambda image: panel("turbo"),
        ValueError,
        "no panel for 'turbo'; known are jpeg and shared",
    ),
    "another quality": (lambda image: SturdyMark(60), ValueError, "survive 10, 30, 50, 70; channels"),
    "another channel": (lambda image: SturdyMark(50, "turbo"), ValueError, "channels 'turbo'"),
    "floats": (lambda image: SturdyMark().find(image / 255, b"x"), ValueError, "8-bit gray"),
    "long payload": (lambda image: SturdyMark().find(image, bytes(2000)), EmbedError, "at most"),
    "small image": (
        lambda image: SturdyMark().find(image[:64, :64], b"x"),
        EmbedError,
        "64x64 image is too small",
    ),
    "room for one coder": (
        lambda image: SturdyMark().find(image[:88, :88], b"x"),
        EmbedError,
        "too small .* channels='turbo'",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_input_is_refused(wrong, cover):
    call, error, text = WRONG[wrong]
    with pytest.raises(error, match=text):
        call(cover)


def test_a_draft_needs_a_cover_and_a_word_that_fit(cover):
    layout, each = SturdyLayout(32, 32, 32, 50), panel("jpeg", 50)
    with pytest.raises(ValueError, match="needs 32"):
        start_sturdy(cover, bytes(31), layout, each, 0.1)
    with pytest.raises(ValueError, match=r"needs uint8, \(256, 256\)"):
        start_sturdy(cover[:128], bytes(32), layout, each, 0.1)


def test_what_is_not_found_is_not_handed_out(cover, monkeypatch):
    monkeypatch.setattr("cinn_nb.sturdy.ROUNDS", 1)
    monkeypatch.setattr("cinn_nb.sturdy.TRIED", {("jpeg", 50): ((40, -6),)})
    layout = SturdyLayout(32, 32, 32, 40)
    with pytest.raises(SurvivalError, match="bytes too many are wrong"):
        sturdy_search(cover, word_of(PAYLOAD, 32, CODE_CHECKS), layout, panel("jpeg", 50), spare=-6)
    with pytest.raises(EmbedError, match="promise less"):
        SturdyMark(50, "jpeg").find(cover, PAYLOAD)


def test_the_cheapest_moves_are_those_of_brute_force():
    "With many channels, so that the bound by the heaviest ones matters, in more than one portion."
    rng = RNG(2)
    for _ in range(10):
        readings = [rng.uniform(-1, 1, (11, 300)).astype(np.float32) for _ in range(3)]
        prices = [np.r_[0, rng.uniform(1, 60, 10)].astype(np.float32) for _ in range(3)]
        weights = (rng.uniform(0, 1, 300) ** 6 * 20).astype(np.float32)
        (a, b, c), price, fine = cheapest_moves(readings, prices, 0.1, weights)
        sums = readings[0][:, None, None] + readings[1][:, None] + readings[2]
        whole = prices[0][:, None, None] + prices[1][:, None] + prices[2] + (sums < 0.1) @ weights
        assert abs(price + fine - whole.min()) < 1e-2 and abs(whole[a, b, c] - whole.min()) < 1e-2


def test_every_promise_has_lattices_that_a_reader_tries():
    assert {quality for _, quality in TRIED} == set(PROMISES)
    assert {lattice for tried in TRIED.values() for lattice, _ in tried} <= set(LATTICES)


@pytest.mark.parametrize("survive", (10, 30))
def test_a_promise_below_50_is_kept_in_real_files(cover, survive):
    mark = SturdyMark(survive, "jpeg")
    stego = mark.write(cover, PAYLOAD)
    assert psnr(cover, stego) > 42
    for q in (survive, survive + 7, 60, 100):
        assert mark.read(jpeg_file(stego, q)).payload == PAYLOAD


def test_erasures_mend_more_where_doubts_are_well_founded(marked):
    _, draft = marked
    rng, right = RNG(3), np.where(draft.bits, 1.0, -1.0)
    assert CERTAIN < 0.1
    for count, weak, reads in ((8, 1.0, True), (12, 0.1, True), (13, 0.1, False)):
        soft = right.reshape(32, -1).copy()
        soft[rng.permutation(32)[:count]] *= -weak
        found = [payload for _, payload, _ in decoded_words(soft.reshape(1, -1), draft.layout)]
        assert found == ([PAYLOAD] if reads else [])
