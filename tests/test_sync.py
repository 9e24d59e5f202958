"""Tiled marks in loops that a notebook has no time for: offsets, turns, lengths, padding, unmarked images."""

import numpy as np
import pytest

from cinn_nb.jpeg import jpeg_file
from cinn_nb.mark import EmbedError
from cinn_nb.phantoms import PHANTOMS, phantom
from cinn_nb.sync import MOST, SIDE, TILES, Grid, TiledMark, TiledNetworkMark, coded_words, drafts
from cinn_nb.sync import erase_tiles, find_grids, grid_at, read_tiles, turned, write_tiles

PAYLOAD = b"0123456789abcdef"


@pytest.fixture(scope="module")
def stego() -> np.ndarray:
    return write_tiles(phantom("chest", 512, seed=7), PAYLOAD)


def said(image: np.ndarray) -> bytes | None:
    "The payload of a view or an array, or None."
    found = read_tiles(np.ascontiguousarray(image))
    return found and found.reading.payload


def test_each_of_64_offsets_is_found(stego):
    for y in range(8):
        for x in range(8):
            top, left = y + 8 * (3 * x % 20), x + 8 * (5 * y % 20)
            found = find_grids(stego[top : top + 300, left : left + 300].copy())[0]
            expected = grid_at(top, left)
            assert (found.turn, found.y, found.x, found.shift) == (0, expected.y, expected.x, expected.shift)


@pytest.mark.parametrize("turn", range(8))
def test_parts_are_read_in_each_turn_after_a_save(stego, turn):
    rng, read = np.random.default_rng(turn), 0
    for _ in range(5):
        y, x = rng.integers(0, 213, 2)
        part = jpeg_file(np.ascontiguousarray(turned(stego[y : y + 300, x : x + 300], turn)), 75)
        read += said(part) == PAYLOAD
    assert read >= 4


def test_a_part_that_is_put_together_from_four_tiles_is_read(stego):
    for y, x in ((128, 128), (8, 248), (121, 77)):
        assert said(stego[y : y + 263, x : x + 263]) == PAYLOAD  # one tile and an offset of 7
    assert said(stego[128:384, 128:384]) == PAYLOAD  # exactly one tile


@pytest.mark.parametrize("border", (0, 77, 255))
def test_padding_does_not_hide_the_mark(stego, border):
    whole = np.full((900, 700), border, np.uint8)
    whole[203:503, 301:601] = stego[100:400, 50:350]
    assert said(whole) == PAYLOAD
    back_in_place = np.full(stego.shape, border, np.uint8)
    back_in_place[100:400, 50:350] = stego[100:400, 50:350]
    found = read_tiles(back_in_place)
    assert found.reading.payload == PAYLOAD and found.grid.turn == 0


def test_missing_rows_and_columns_do_not_matter(stego):
    for part in (stego[:-4], stego[:-100], stego[:, :-9], stego[1:], stego[:, 13:]):
        assert said(part) == PAYLOAD


def test_nothing_moved_is_tried_first(stego):
    assert read_tiles(stego).grid == Grid(score=read_tiles(stego).grid.score)
    for quality in (50, 63, 75, 88, 100):
        assert said(jpeg_file(stego, quality)) == PAYLOAD


def test_a_large_image_is_searched_in_its_middle(stego):
    large = np.tile(stego, (3, 4))[5:-20, 11:]  # 512 pixels are two tiles, so the tiles go on
    assert said(turned(large, 5)) == PAYLOAD


@pytest.mark.parametrize("length", (1, 11, 12, 43, 44, 187))
def test_payloads_of_all_lengths(length):
    payload = np.random.default_rng(length).integers(1, 256, length, np.uint8).tobytes()
    tile = next(tile for tile in TILES if tile.capacity >= length)
    side = 8 * SIDE * tile.across
    image = next(drafts(phantom("mr_brain", side, seed=length), tile, coded_words(payload, tile)))
    assert said(image) == payload
    assert said(np.rot90(np.roll(image, (-64, 40), (0, 1)), 3)) == payload  # starts within a tile


def test_no_payload_in_unmarked_images():
    for kind in PHANTOMS:
        for seed in range(30, 36):
            image = phantom(kind, 288, seed)
            assert len(find_grids(image)) <= MOST and read_tiles(image) is None
    for value in (0, 128, 255):
        assert find_grids(np.full((300, 300), value, np.uint8)) == []


def test_the_last_writer_is_read(stego):
    again = next(drafts(stego, TILES[1], coded_words(b"another message", TILES[1])))
    assert said(again) == b"another message"
    assert said(np.rot90(again[3:, 5:])) == b"another message"


def test_what_is_erased_stays_erased(stego):
    gone = erase_tiles(np.ascontiguousarray(stego[3:403, 5:405].T))
    assert not any(said(jpeg_file(gone, quality)) for quality in range(50, 101, 5))
    assert not any(said(turned(gone[k:, 2 * k :], k)) for k in range(8))


def test_nothing_old_is_read_after_a_second_mark_on_another_grid(stego):
    mark, moved = TiledMark(), stego[3:, 5:].copy()
    with pytest.raises(EmbedError, match="erase it first"):
        mark.write(moved, b"new message")
    new, rng = mark.write(mark.erase(moved), b"new message"), np.random.default_rng(0)
    for turn in range(16):
        y, x = rng.integers(0, 200, 2)
        part = np.ascontiguousarray(turned(new[y : y + 300, x : x + 300], turn % 8))
        assert said(jpeg_file(part, 75) if turn > 7 else part) in (b"new message", None)
    assert said(new) == b"new message"


def test_refusals():
    with pytest.raises(EmbedError, match="flat or black"):
        TiledMark().write(np.zeros((256, 256), np.uint8), b"x")
    with pytest.raises(EmbedError, match="too small"):
        TiledMark().write(phantom("chest", 255), b"x")
    with pytest.raises(EmbedError, match="at most 187"):
        TiledMark().write(phantom("chest", 512), bytes(188))


def test_a_network_is_found_again():
    mark = TiledNetworkMark("cinn")
    image = mark.write(phantom("chest", 512, seed=2), b"eleven byte")
    assert mark.read(np.rot90(image[3:, 6:], 3).copy()).payload == b"eleven byte"
    assert TiledNetworkMark("lattice").read(image) is None and read_tiles(image) is None
