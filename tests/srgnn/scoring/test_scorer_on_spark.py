"""The scorer as Spark calls it, on two cores."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from srgnn.data import Spark
from srgnn.scoring import Scorer

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]
pytest.importorskip("pyspark")


def test_spark_answers_every_session(checkpoint: Path, visits: pl.DataFrame, tmp_path: Path):
    scorer = Scorer(checkpoint, k=3, new_only=True, titles=True)
    schema = "visit long, shop string, items array<string>, scores array<float>, titles array<string>"
    schema += ", by_popularity boolean, skipped int"
    with Spark("local[2]").start(tmp_path) as tables:
        sessions = tables.session.createDataFrame(visits.to_arrow()).repartition(3)
        found = pl.DataFrame(sessions.mapInArrow(scorer.batches, schema).toArrow())
    assert_frame_equal(found.sort("visit"), pl.DataFrame(scorer(visits.to_arrow())))
