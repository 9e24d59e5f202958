"Verified networks: sizes, other kinds of network, and the same answer each time."

import numpy as np
import pytest
from cinn_nb.channels import Channel, Save
from cinn_nb.dataset import embedded_images
from cinn_nb.mark import EmbedError, NoWatermarkError
from cinn_nb.network import load
from cinn_nb.reed_solomon import RSCode, bytes_to_bits
from cinn_nb.verified import LIMIT, NetworkDraft, Verified, look, panel_of, votes, wrong_bytes

COVER = embedded_images()["phantom_chest"]
PAYLOAD = np.random.default_rng(3).integers(0, 2, 16, dtype=np.uint8)
PANEL = panel_of()


@pytest.mark.parametrize("shape", [(128, 128), (131, 125)])
@pytest.mark.parametrize("model", ["QIM"])
def test_a_small_image_of_any_shape_is_read_in_every_channel_of_the_panel(model, shape):
    method, cover = Verified(model, payload_bits=16), COVER[60 : 60 + shape[0], 60 : 60 + shape[1]]
    try:
        stego = method.embed(cover, PAYLOAD)
    except EmbedError:
        pytest.fail("refused")
    assert stego.shape == cover.shape and stego.dtype == np.uint8 and (stego != cover).any()
    for quality in (50, 75, 99):
        assert np.array_equal(method.extract(Save(quality)(stego)), PAYLOAD)
    assert np.array_equal(method.embed(cover, PAYLOAD), stego)


def test_an_additive_network_has_strengths_too():
    net = load("cinn").requires_grad_(False)
    word = bytes_to_bits(RSCode(18, 2).encode(np.packbits(PAYLOAD).tobytes()))
    draft = NetworkDraft(net, COVER[:130, :141], word)
    quiet, loud = (draft.image(np.full(draft.L, s)) for s in (0.3, 1.5))
    assert ((loud - COVER[:130, :141].astype(int)) ** 2).sum() > 4 * (
        (quiet - COVER[:130, :141].astype(int)) ** 2
    ).sum()
    channels = [Channel((Save(50),)), Channel((Save(90), Save(60)))]
    assert wrong_bytes(look(draft, loud, channels)).sum() < wrong_bytes(look(draft, quiet, channels)).sum()


def test_the_panel_and_its_limit():
    assert len(set(PANEL)) == len(PANEL) and LIMIT < 8
    soft = np.ones((len(PANEL), 256))
    soft[0, ::8] = -1  # all bytes are wrong in one channel
    assert votes(soft, LIMIT, np.zeros(32, bool)).reshape(32, 8).any(1).sum() == 32 - LIMIT + 1


def test_nothing_is_read_where_nothing_is():
    with pytest.raises(NoWatermarkError):
        Verified("lattice").extract(COVER)
