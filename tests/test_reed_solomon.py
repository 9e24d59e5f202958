"""What a notebook cannot hold: properties of the message code, and long comparisons of the two decoders.

RS_WORDS=100000 lengthens the comparisons (default 2000 words per regime)."""

import os
import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cinn_nb.reed_solomon import (
    Decoded,
    DecodingError,
    Interleaver,
    MessageCode,
    RSCode,
    bits_to_bytes,
    bytes_to_bits,
    frame,
    frame_capacity,
    rs_decode,
    rs_decode_batch,
    rs_encode,
    split_words,
    unframe,
    whiten,
)

WORDS = int(os.environ.get("RS_WORDS", "2000"))
SHAPES = [(32, 16), (12, 6), (8, 4), (20, 17), (40, 30)]
quick = settings(max_examples=150, deadline=None, derandomize=True)


def outcome(decode, *args):
    try:
        return decode(*args)
    except DecodingError:
        return None


def damage(word, e, f, rng):
    "e wrong bytes and f erased ones (random, perhaps right): the received word and the erasures."
    places, got = rng.sample(range(len(word)), e + f), bytearray(word)
    for p in places[:e]:
        got[p] ^= rng.randrange(1, 256)
    for p in places[e:]:
        got[p] = rng.randrange(256)
    return bytes(got), places[e:]


@pytest.mark.parametrize("beyond", [-1, 0, 1, 4])
def test_scratch_and_engine_agree(beyond):
    rng = random.Random(beyond)
    for _ in range(WORDS):
        n, k = rng.choice(SHAPES)
        budget = n - k + (-rng.randint(1, n - k) if beyond < 0 else beyond)
        e = rng.randint(0, budget // 2)
        f = min(budget - 2 * e, n - e)
        word = rs_encode(rng.randbytes(k), n)
        got, erased = damage(word, e, f, rng)
        ours, theirs = outcome(rs_decode, got, k, erased), outcome(RSCode(n, k).decode, got, erased)
        assert ours == theirs
        if beyond <= 0:
            assert theirs == Decoded(word[:k], tuple(p for p in range(n) if word[p] != got[p]))


def test_no_wrong_payload_beyond_the_limit():
    "Framed messages of three sizes, damaged near and far beyond the limit: right or an error, never wrong."
    rng, generator = random.Random(7), np.random.default_rng(7)
    for _ in range(WORDS):
        code = MessageCode(rng.choice([64, 128, 256]), rate=rng.choice([0.5, 0.8]))
        if not code.capacity:
            continue
        payload = rng.randbytes(rng.randint(0, code.capacity))
        bits = code.encode(payload)
        flips = generator.random(len(bits)) < rng.choice([0.02, 0.05, 0.1, 0.2, 0.5])
        answer = outcome(code.decode, np.where(bits ^ flips, 1.0, -1.0))
        assert answer is None or answer.payload == payload


@pytest.mark.parametrize("n, k", SHAPES + [(255, 223), (2, 1)])
def test_batch_decoder_agrees(n, k):
    rng, code = random.Random(n), RSCode(n, k)
    cases = []
    for _ in range(max(WORDS // 10, 100)):
        f = rng.randint(0, min(n - k + 2, n)) if rng.random() < 0.5 else 0
        e = rng.randint(0, min(max(n - k - f, 0) // 2 + 2, n - f))
        cases.append(damage(code.encode(rng.randbytes(k)), e, f, rng))
    words = np.array([list(got) for got, _ in cases], np.uint8)
    erased = np.array([[p in lost for p in range(n)] for _, lost in cases])
    fixed, success = rs_decode_batch(words, k, erased)
    for row, ok, (got, lost) in zip(fixed, success, cases):
        answer = outcome(code.decode, got, lost)
        assert ok == (answer is not None)
        assert row.tobytes() == (code.encode(answer.payload) if ok else got)


def test_batch_of_none():
    fixed, success = rs_decode_batch(np.zeros((0, 12), np.uint8), 6)
    assert fixed.shape == (0, 12) and success.shape == (0,)


@quick
@given(st.data())
def test_any_damage_within_the_limit(data):
    n = data.draw(st.integers(2, 255))
    k = data.draw(st.integers(1, n - 1))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    f = data.draw(st.integers(0, n - k))
    e = data.draw(st.integers(0, (n - k - f) // 2))
    code, payload = RSCode(n, k), rng.randbytes(k)
    word = code.encode(payload)
    got, erased = damage(word, e, f, rng)
    assert code.decode(got, erased) == Decoded(payload, tuple(p for p in range(n) if word[p] != got[p]))


@quick
@given(st.integers(0, 6000), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), st.data())
def test_message_round_trip(coded_bits, rate, data):
    code = MessageCode(coded_bits, rate)
    words = code.words
    assert all(n <= 255 and 1 <= k <= n - 2 for n, k in words)
    assert not words or (sum(n for n, _ in words) == coded_bits // 8 and max(words)[0] - min(words)[0] <= 1)
    assert len(words) in (0, -(-(coded_bits // 8) // 255))
    if not code.capacity:
        with pytest.raises(ValueError):
            code.encode(b"")
        with pytest.raises(DecodingError):
            code.decode(np.zeros(coded_bits))
        return
    length, rng = data.draw(st.integers(0, code.capacity)), random.Random(coded_bits)
    payload = rng.randbytes(length)
    bits = code.encode(payload)
    assert bits.dtype == np.uint8 and bits.shape == (coded_bits,) and set(bits) <= {0, 1}
    assert code.decode(bits - 0.5) == Decoded(payload, ())
    with pytest.raises(ValueError, match="at most"):
        code.encode(bytes(code.capacity + 1))
    # each word damaged up to its limit: a burst of as many sent bytes as the weakest word mends
    burst = min((n - k) // 2 for n, k in words)
    start = data.draw(st.integers(0, coded_bits // 8 - burst))
    soft = bits - 0.5
    soft[8 * start : 8 * (start + burst)] *= -1
    assert code.decode(soft) == Decoded(payload, tuple(range(start, start + burst)))


@quick
@given(st.integers(64, 4096), st.data())
def test_message_erasures(coded_bits, data):
    "Any set of erased bytes within the limit of the weakest word, holding anything."
    code = MessageCode(coded_bits)
    if not code.capacity:
        return
    limit = min(n - k for n, k in code.words)
    erased = data.draw(st.sets(st.integers(0, coded_bits // 8 - 1), max_size=limit))
    bits = code.encode(b"x")
    soft, generator = bits - 0.5, np.random.default_rng(len(erased))
    for b in erased:
        soft[8 * b : 8 * b + 8] = generator.standard_normal(8)
    assert code.decode(soft, erased).payload == b"x"


@quick
@given(st.integers(4, 600), st.data())
def test_frame(size, data):
    payload = data.draw(st.binary(max_size=frame_capacity(size)))
    framed = frame(payload, size)
    assert len(framed) == size and unframe(framed) == payload
    broken = bytearray(framed)
    broken[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecodingError):
        unframe(bytes(broken))


@quick
@given(st.binary(max_size=300), st.integers(0, 5), st.integers(1, 300))
def test_involutions(data, seed, length):
    assert whiten(whiten(data, seed), seed) == data
    assert bits_to_bytes(bytes_to_bits(data)) == data
    x, mixer = np.arange(2 * length).reshape(2, length), Interleaver(length, seed)
    assert (mixer.inverse(mixer.forward(x)) == x).all() and sorted(mixer.order) == list(range(length))


def test_bit_order_and_fixed_vectors():
    assert bytes_to_bits(b"\x80\x01").tolist() == [1] + [0] * 14 + [1]
    assert bytes_to_bits(whiten(bytes(4))).tolist()[:8] == [
        0,
        1,
        1,
        0,
        1,
        1,
        1,
        0,
    ]  # SHA-256("cinn-nb whiten 0 0") begins 6e
    assert MessageCode(256).words == ((32, 16),) and MessageCode(256).capacity == 11
    assert MessageCode(64).words == ((8, 4),) and MessageCode(64).capacity == 1
    assert MessageCode(1024).words == ((128, 64),) and MessageCode(1024).capacity == 59
    assert split_words(511) == ((171, 85), (170, 85), (170, 85))
