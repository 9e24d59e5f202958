"""An image that is marked already is refused, or its message is replaced and no reader finds it again."""

import itertools

import pytest

from cinn_nb.jpeg import jpeg_file
from cinn_nb.phantoms import phantom
from cinn_nb.watermark import EmbedError, embed, extract, readings

KINDS = {
    "cinn": {},
    "lattice": {"model": "lattice"},
    "cinn_channels": {"model": "cinn_channels"},
    "cinn_v1": {"model": "cinn_v1"},
    "turbo 10": {"survive": 10, "channels": "turbo"},
    "turbo 30": {"survive": 30, "channels": "turbo"},
    "turbo 50": {"survive": 50, "channels": "turbo"},
    "shared 70": {"survive": 70},
}
# how the stego image is saved, one quality after the other
FILES = (
    (),
    (95,),
    (70,),
    (50,),
    (35,),
    (15,),
    (80, 60),
)
COVERS = [(kind, size) for size in (128, 136, 144) for kind in ("chest", "mr_brain", "abdomen")]
PAIRS = list(itertools.product(KINDS, KINDS))


def trial(old: str, new: str, kind: str, size: int, seed: int) -> str:
    "Mark, mark again; 'refused' or 'replaced', or an `AssertionError`."
    cover, before, after = phantom(kind, size, seed), b"1", b"2"
    marked = embed(cover, before, **KINDS[old])
    with pytest.raises(EmbedError, match="already carries a message of 1 byte"):
        embed(marked, after, **KINDS[new])
    try:
        stego = embed(marked, after, replace=True, **KINDS[new])
    except EmbedError:
        return "refused"
    assert extract(stego) == after
    for q in range(KINDS[new].get("survive", 101), 101, 6):
        assert extract(jpeg_file(stego, q)) == after, q
    for saves in FILES:
        file = stego
        for q in saves:
            file = jpeg_file(file, q)
        assert {one.payload for one in readings(file)} <= {after}, saves
    return "replaced"


@pytest.mark.parametrize("pair", range(0, len(PAIRS), 5))
def test_the_old_message_is_gone(pair):
    "A fifth of all ordered pairs of kinds, over nine covers."
    old, new = PAIRS[(pair + pair // len(KINDS)) % len(PAIRS)]
    kind, size = COVERS[pair % len(COVERS)]
    assert trial(old, new, kind, size, seed=pair) in ("refused", "replaced")


def test_without_an_old_mark_replace_changes_nothing():
    cover = phantom("chest", 128, 3)
    assert (embed(cover, b"1", replace=True) == embed(cover, b"1")).all()


def test_the_same_message_again_is_refused_too():
    marked = embed(phantom("chest", 128, 4), b"1")
    with pytest.raises(EmbedError, match="replace=True"):
        embed(marked, b"1")
