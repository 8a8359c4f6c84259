import numpy as np
import pytest

from srgnn.texts.words import WIDTH, HashedWords


def test_texts_are_near_if_they_share_words():
    lamp, same, near, far = HashedWords().encode(["A red lamp", "lamp, red: a!", "a green lamp", "tea for two"])
    assert np.array_equal(lamp, same)
    assert lamp @ near == pytest.approx(2 / 3)
    assert abs(lamp @ far) < 0.1


def test_vectors_have_the_length_1_or_0_without_words():
    vectors = HashedWords().encode(["ünïcode 茶 x", "-- !", "word " * 10_000])
    assert vectors.shape == (3, WIDTH)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1])


def test_places_and_signs_are_the_same_in_every_process():
    (vector,) = HashedWords().encode(["lamp"])
    assert [(int(place), float(vector[place])) for place in vector.nonzero()[0]] == [(53, -1)]
