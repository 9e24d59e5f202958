"""What a notebook cannot hold: properties of the codes, and the small ones against all their codewords."""

from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cinn_nb.codes import (
    BCH,
    LDPC,
    Code,
    Hamming,
    Parity,
    ReedSolomon,
    Repetition,
    Uncoded,
    bch_size,
    ldpc_matrices,
    make_codes,
)
from cinn_nb.reed_solomon import DecodingError, RSCode

NAMES = [
    "none",
    "repetition",
    "parity",
    "Hamming",
    "Hamming soft",
    "SECDED",
    "SECDED soft",
    "BCH",
    "RS",
    "RS + erasures",
    "LDPC",
]
SIZES = [(128, 256), (136, 300), (512, 1024), (1024, 2048)]
quick = settings(max_examples=30, deadline=None, derandomize=True)
make = lru_cache(make_codes)


def payloads(code, trials, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (trials, code.k), dtype=np.uint8)


def flips(trials, n, e, rng):
    "e wrong places out of n in every row."
    return rng.random((trials, n)).argsort(1) < e


def test_names_and_order():
    assert list(make()) == NAMES and all(code.name == name for name, code in make().items())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_round_trip_of_every_code_and_size(name, size):
    code = make(*size)[name]
    assert (code.k, code.L, code.rate) == (*size, size[0] / size[1]) and code.k <= code.n <= code.L
    bits = payloads(code, 12)
    sent = code.encode(bits)
    assert sent.dtype == np.uint8 and sent.shape == (12, code.L) and (sent[:, : code.k] == bits).all()
    for dtype in (np.float32, np.float64):
        answer, ok = code.decode((2 * sent.astype(dtype) - 1) / 3)
        assert answer.dtype == np.uint8 and ok.dtype == bool and ok.shape == (12,) and ok.all()
        assert (answer == bits).all()
    answer, ok = code.decode(np.zeros((0, code.L)))
    assert answer.shape == (0, code.k) and ok.shape == (0,)
    assert code.encode(np.zeros((0, code.k), np.uint8)).shape == (0, code.L)


@pytest.mark.parametrize("name", NAMES)
@quick
@given(
    seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 8.0, 1000.0]), noise=st.floats(0.1, 1.0)
)
def test_any_unit_will_do_and_words_do_not_disturb_each_other(name, seed, scale, noise):
    code, rng = make()[name], np.random.default_rng(seed)
    soft = 2.0 * code.encode(payloads(code, 5, seed)) - 1 + noise * rng.standard_normal((5, code.L))
    bits, ok = code.decode(soft)
    more, fine = code.decode(soft[::-1] * scale)
    assert (more[::-1] == bits).all() and (fine[::-1] == ok).all()
    alone, good = code.decode(soft[3:4])
    assert (alone[0] == bits[3]).all() and good[0] == ok[3]


@pytest.mark.parametrize("name", NAMES)
def test_linear(name):
    code = make()[name]
    a, b = payloads(code, 20, 1), payloads(code, 20, 2)
    assert (code.encode(a) ^ code.encode(b) == code.encode(a ^ b)).all()


def test_left_over_places_repeat_the_codeword():
    for name, code in make(128, 300).items():
        sent = code.encode(payloads(code, 3))
        if name == "none":
            assert not sent[:, code.n :].any()
        else:
            assert (sent == sent[:, np.arange(300) % code.n]).all()
    heard = np.array([[0.5, -1.0, -2.0, 3.0, -1.0]])  # bits 0, 1 twice and a half: .5 + -2 - 1, -1 + 3
    assert Repetition(2, 5).decode(heard)[0].tolist() == [[0, 1]]
    assert Uncoded(2, 5).decode(heard)[0].tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "k, L, e", [(128, 256, 18), (128, 256, 1), (128, 256, 9), (1024, 2048, 106), (16, 31, 3), (30, 63, 6)]
)
def test_bch_mends_any_t_errors_and_refuses_one_more(k, L, e):
    code, rng = BCH(k, L), np.random.default_rng(e)
    assert e <= code.t == bch_size(k, L)[1]
    trials = 100 if L > 2000 else 400
    bits = payloads(code, trials, e)

    def decode(wrong):
        soft = (2.0 * code.encode(bits)[:, : code.n] - 1) * np.where(wrong, -1, 1)
        return code.decode(np.pad(soft, ((0, 0), (0, code.L - code.n))))

    answer, ok = decode(flips(trials, code.n, e, rng))
    assert ok.all() and (answer == bits).all()
    if e == code.t >= 18:
        answer, ok = decode(damage := flips(trials, code.n, e + 1, rng))
        assert not ok.any() and (answer == bits ^ damage[:, :k]).all(), (
            "refused: the payload is left as received"
        )


def test_bch_corrects_bursts_at_any_place():
    code = BCH(128, 256)
    bits = payloads(code, 1)
    for start in range(0, code.n - 17):
        soft = 2.0 * code.encode(bits) - 1
        soft[:, code.n :] = 0
        soft[:, start : start + 18] *= -1
        answer, ok = code.decode(soft)
        assert ok.all() and (answer == bits).all(), start


def test_bch_finds_the_codeword_within_t_or_refuses():
    "BCH(31, 16), t = 3, against all 65 536 codewords: decoded, refused and miscorrected words all occur."
    code, rng = BCH(16, 31), np.random.default_rng(4)
    every = np.unpackbits(np.arange(2**16, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)
    book, bits = 2.0 * code.encode(every) - 1, payloads(code, 300, 4)
    got = (2.0 * code.encode(bits) - 1) * np.where(flips(300, 31, rng.integers(0, 9, (300, 1)), rng), -1, 1)
    match = got @ book.T
    within = match.max(1) >= 31 - 2 * 3
    answer, ok = code.decode(got)
    assert (ok == within).all() and (answer[ok] == every[match.argmax(1)][ok]).all() and 0 < ok.mean() < 1
    assert (answer != bits).any(1)[ok].any(), "no miscorrection among 300"


@pytest.mark.parametrize("k, L", [(128, 256), (128, 192), (256, 512), (1040, 2080)])
@quick
@given(data=st.data())
def test_reed_solomon_up_to_its_limit_and_like_reedsolo(k, L, data):
    "e wrong and f erased bytes with 2e + f <= n - k; and beyond it the same verdict as `RSCode`."
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, kb = ReedSolomon(k, L).size
    words = ReedSolomon(k, L).words
    f = data.draw(st.integers(0, n - kb))
    e = data.draw(st.integers(0, (n - kb - f) // 2 + 1))
    e = min(e, n - f)
    code, bits = ReedSolomon(k, L, (f,)), payloads(ReedSolomon(k, L), 1, int(rng.integers(2**32)))
    soft = 2.0 * code.encode(bits)[:, : code.n] - 1
    parts = np.concatenate([soft[:, :k].reshape(words, -1), soft[:, k:].reshape(words, -1)], axis=1).reshape(
        words, n, 8
    )
    expected = True
    for word in parts:
        places = rng.permutation(n)
        for p in places[:e]:
            word[p] *= np.where(np.arange(8) == rng.integers(8), -1, rng.choice([-1, 1], 8))
        word[places[e : e + f]] = 0.1 * rng.choice([-1, 1], (f, 8))
        received = np.packbits(word.reshape(-1) > 0).tobytes()
        try:
            RSCode(n, kb).decode(received, tuple(sorted(places[e : e + f].tolist())))
        except DecodingError:
            expected = False
    flat = parts.reshape(words, 8 * n)
    sent = np.concatenate([flat[:, : 8 * kb].reshape(1, -1), flat[:, 8 * kb :].reshape(1, -1)], axis=1)
    answer, ok = code.decode(np.pad(sent, ((0, 0), (0, L - code.n))))
    assert ok[0] == expected
    if 2 * e + f <= n - kb:
        assert ok[0] and (answer == bits).all()


def test_secded_notices_any_two_errors_in_any_word():
    code = Hamming(16, 32, extended=True)  # four words
    bits = payloads(code, 1)

    def place(w, i):
        return 4 * w + i if i < 4 else 16 + 4 * w + i - 4

    for w in range(4):
        for pair in combinations(range(8), 2):
            soft = 2.0 * code.encode(bits) - 1
            soft[:, [place(w, i) for i in pair]] *= -1
            answer, ok = code.decode(soft)
            assert not ok.any() and ((answer ^ bits).sum() == sum(i < 4 for i in pair))
        for i in range(8):
            soft = 2.0 * code.encode(bits) - 1
            soft[:, place(w, i)] *= -1
            answer, ok = code.decode(soft)
            assert ok.all() and (answer == bits).all()


@pytest.mark.parametrize(
    "code",
    [Parity(7, 8), Hamming(4, 7, soft=True), Hamming(4, 8, extended=True, soft=True)],
    ids=lambda c: c.name,
)
def test_soft_decoders_of_small_codes_find_the_most_likely_word(code):
    every = np.array([[i >> b & 1 for b in range(code.k)] for i in range(2**code.k)], np.uint8)
    soft = np.random.default_rng(0).standard_normal((500, code.L))
    best = (soft @ (2.0 * code.encode(every).T - 1)).argmax(1)
    assert (code.decode(soft)[0] == every[best]).all()


@pytest.mark.parametrize("k", [128, 136, 512, 1024])
def test_ldpc_graph_is_regular_and_has_no_cycle_of_length_4_or_6(k):
    H, G = (matrix.astype(np.float32) for matrix in ldpc_matrices(k))
    assert not (G @ H.T % 2).any()
    assert set(H.sum(0)) == {3} and set(H.sum(1)) == {6}
    shared = H.T @ H - 3 * np.eye(2 * k, dtype=np.float32)  # 1 where two bits share a check
    assert shared.max() == 1
    assert (
        (shared @ shared) * shared
    ).sum() == 2 * k * 3 * 5 * 4  # triangles of bits: only those inside one check


def test_ldpc_says_so_when_it_fails():
    code, rng = LDPC(128, 256), np.random.default_rng(0)
    _, ok = code.decode(rng.standard_normal((300, 256)))
    assert not ok.any()
    bits = payloads(code, 300)
    answer, ok = code.decode(
        2.0 * code.encode(bits) - 1 + 0.68 * rng.standard_normal((300, 256))
    )  # 7 % wrong
    assert ok.mean() > 0.97 and (answer[ok] == bits[ok]).all()


BAD_BITS = [
    np.zeros(128),
    np.zeros((2, 127)),
    np.full((1, 128), 2),
    np.full((1, 128), 0.5),
    np.full((1, 128), np.nan),
    np.full((1, 128), "1"),
    None,
]
BAD_SOFT = [
    np.zeros(256),
    np.zeros((2, 255)),
    np.zeros((1, 256), np.uint8),
    np.zeros((1, 256), bool),
    np.zeros((1, 256), complex),
    np.full((1, 256), np.inf),
    np.full((1, 256), np.nan),
    np.full((1, 256), "x"),
    None,
]


@pytest.mark.parametrize("name", NAMES)
def test_bad_arrays_are_refused_by_name(name):
    code = make()[name]
    for bad in BAD_BITS:
        with pytest.raises(
            ValueError, match=rf"^{name.replace('+', '.')}: payload bits.*(\(B, 128\)|0 or 1)"
        ):
            code.encode(bad)
    for bad in BAD_SOFT:
        with pytest.raises(
            ValueError, match=rf"^{name.replace('+', '.')}: .*soft bits.*(\(B, 256\)|real numbers|finite)"
        ):
            code.decode(bad)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: make_codes(120), "k is 120; .* 128..1024"),
        (lambda: make_codes(130, 300), "k is 130; it must be a multiple of 8"),
        (lambda: make_codes(1032, 4000), "k is 1032"),
        (lambda: make_codes(128, 255), "L is 255; .* at least 256"),
        (lambda: Repetition(0, 4), "k = 0"),
        (lambda: Repetition(5, 4), "L = 4"),
        (lambda: Hamming(6, 20), "k is 6; .* multiple of 4"),
        (lambda: Parity(128, 140), "n = 147"),
        (lambda: BCH(128, 130), "k = 128 .* L = 130"),
        (lambda: ReedSolomon(12, 32), "multiple of 8"),
        (lambda: ReedSolomon(128, 128), "at least k . 8"),
        (lambda: ReedSolomon(128, 256, (0, 17)), "0..16"),
        (lambda: ReedSolomon(128, 256, ()), "at least one"),
        (lambda: LDPC(64, 128), "k is 64"),
        (lambda: LDPC(128, 200), "L = 200"),
    ],
)
def test_impossible_codes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_new_code_is_a_few_lines():
    "The interface as an exercise uses it: two checks, rows and columns of a 2x2 square."

    class Square(Code):
        name, generator = (
            "square",
            np.array(
                [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 1]], np.uint8
            ),
        )

        def _decode(self, soft):
            return (soft[:, :4] > 0).astype(np.uint8), np.ones(len(soft), bool)

    assert Square(4, 8).encode([[1, 1, 0, 1]]).tolist() == [[1, 1, 0, 1, 0, 1, 1, 1]]
