import errno
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from srgnn.errors import UserError
from srgnn.nn import SRGNNSettings
from srgnn.training import checkpoint
from srgnn.training.callbacks import WholeCheckpoints
from srgnn.training.checkpoint import FORMAT, Checkpoint, CheckpointRecord

RECORD = CheckpointRecord(model={"num_items": 4, "hidden_size": 8}, vocabulary=["A", "B", "C", "D"])


def test_a_record_is_restored_from_its_plain_values():
    assert CheckpointRecord.from_plain(RECORD.plain()) == RECORD
    assert CheckpointRecord.from_plain({**RECORD.plain(), "of a later version": 1}) == RECORD


def test_a_checkpoint_of_the_first_version_still_loads(tmp_path: Path):
    """It held model, vocabulary, titles, data, config, stage, history and versions, and `chosen` after the choice."""
    model = SRGNNSettings(8).build(4)
    about = {
        **{
            "model": {"num_items": 4, "hidden_size": 8},
            "vocabulary": [3, 5, 7, 9],
            "titles": None,
            "data": {"name": "x"},
        },
        **{"config": {"seed": 0}, "stage": "select", "history": [{"epoch": 1}], "versions": {"torch": "2.13.0"}},
    }
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 0, "state_dict": state, "srgnn": about}, tmp_path / "best.ckpt")
    loaded = Checkpoint.load(tmp_path / "best.ckpt")
    assert {name: value for name, value in loaded.record.plain().items() if name in about} == about
    assert loaded.record.chosen is None
    restored = loaded.build_model()
    assert not restored.training
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), restored.parameters(), strict=True))


def test_a_model_of_another_version_is_reported(tmp_path: Path):
    record = replace(RECORD, architecture="GRU")
    torch.save({"state_dict": {}, "srgnn": record.plain()}, tmp_path / "new.ckpt")
    with pytest.raises(
        UserError, match=r"The checkpoint holds the model GRU, which this version does not have \(SR-GNN"
    ):
        Checkpoint.load(tmp_path / "new.ckpt").build_model()


def test_it_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "new" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"a": 1}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    with pytest.raises(AttributeError):
        WholeCheckpoints().save_checkpoint({"a": lambda: 0}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_is_named_though_torch_hides_it(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    opened = Path.open

    def full(self: Path, *arguments, **options):
        return open("/dev/full", "wb", buffering=0) if self.suffix == ".ckpt" else opened(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(UserError, match=r"^Cannot write the checkpoint .*last\.ckpt \(No space left") as error:
            checkpoint.save({"a": torch.zeros(100)}, tmp_path / "last.ckpt")
    assert error.value.arguments == ("folder",)
    assert isinstance(error.value.__cause__, OSError)
    assert error.value.__cause__.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_checkpoint_is_reported(tmp_path: Path):
    with pytest.raises(UserError, match="There is no checkpoint"):
        Checkpoint.load(tmp_path / "missing.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        Checkpoint.load(tmp_path / "text.ckpt")
    for content in ({"state_dict": {}}, {"srgnn": {"model": {}}}, [1]):
        torch.save(content, tmp_path / "other.ckpt")
        with pytest.raises(UserError, match="not a checkpoint of this project"):
            Checkpoint.load(tmp_path / "other.ckpt")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path):
    state = {f"model.{name}": value for name, value in SRGNNSettings(8).build(4).state_dict().items()}
    state["model.item_embedding.weight"][1, 2] = float("nan")
    torch.save({"state_dict": state, "srgnn": RECORD.plain()}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"not finite numbers \(item_embedding.weight\)"):
        Checkpoint.load(tmp_path / "last.ckpt").build_model()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    state = {f"model.{name}": value for name, value in SRGNNSettings(8).build(4).state_dict().items()}
    checkpoint.save({"state_dict": state, "srgnn": RECORD.plain()}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_damage_anywhere_is_noticed_or_changes_nothing(whole: Path):
    content, first = whole.read_bytes(), Checkpoint.load(whole)
    rng, num_refused = random.Random(0), 0
    for _ in range(100):
        damaged, place = bytearray(content), rng.randrange(len(content))
        damaged[place] ^= 1 << rng.randrange(8)
        whole.write_bytes(damaged)
        try:
            second = Checkpoint.load(whole)
        except UserError:
            num_refused += 1
            continue
        assert second.record == first.record
        assert all(torch.equal(second.weights[name], weight) for name, weight in first.weights.items())
    assert num_refused > 50  # the rest is padding between the parts


def test_a_cut_or_compressed_file_is_refused(whole: Path):
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        Checkpoint.load(whole)
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        Checkpoint.load(whole)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        WholeCheckpoints().load_checkpoint(whole)


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ({"vocabulary": [["A"], "B", "C", "D"]}, "vocabulary"),
        ({"vocabulary": ["A"]}, "model"),
        ({"model": {"num_items": 10**12}}, "model"),
        ({"titles": ["x"]}, "titles"),
        ({"history": 5}, "history"),
        ({"data": []}, "data"),
        ({"architecture": 1}, "architecture"),
    ],
)
def test_entries_of_another_type_or_size_are_refused(whole: Path, entries: dict, wrong: str):
    content = torch.load(whole, weights_only=True)
    checkpoint.save({**content, "srgnn": content["srgnn"] | entries}, whole)
    with pytest.raises(UserError, match=rf"not a checkpoint of this project \(wrong {wrong}\)"):
        Checkpoint.load(whole)
    for record in (5, {}, []):
        checkpoint.save({**content, "srgnn": record}, whole)
        with pytest.raises(UserError, match="not a checkpoint of this project"):
            Checkpoint.load(whole)


def test_weights_of_another_shape_are_refused(whole: Path):
    content = torch.load(whole, weights_only=True)
    content["srgnn"]["model"]["hidden_size"] = 16
    checkpoint.save(content, whole)
    with pytest.raises(UserError, match="The weights of the checkpoint do not fit its model"):
        Checkpoint.load(whole).build_model()


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path: Path):
    torch.save({"state_dict": {}, "srgnn": {**RECORD.plain(), "format": FORMAT + 1}}, tmp_path / "later.ckpt")
    with pytest.raises(UserError, match=f"has format {FORMAT + 1}, and this version reads formats up to {FORMAT}"):
        Checkpoint.load(tmp_path / "later.ckpt")
