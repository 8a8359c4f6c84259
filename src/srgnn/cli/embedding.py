"""Vectors of the texts of items, for `embed.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from srgnn.cli.config import plain
from srgnn.cli.tables import say
from srgnn.data.log.arguments import check_names, listed
from srgnn.data.log.item_texts import item_texts
from srgnn.data.log.items import ItemTable
from srgnn.data.log.raw.converted import converted
from srgnn.errors import UserError
from srgnn.texts.encoders import encoder_of
from srgnn.texts.files import embed_file

OF_TABLE = ("id", "header", "separator", "quote", "encoding")  # options of the table of items


def embed(config: DictConfig) -> None:
    """Writes the vectors of a table of items, and says what was encoded and left out."""
    options = plain(config)
    names = {"items.path": "items"} | {f"items.{name}": name for name in OF_TABLE}
    if options["encoder"] is None:
        raise UserError(
            "model is missing: give model=FOLDER or model=NAME of a sentence-transformers model, or model=words, which "
            "needs none."
        )
    try:
        check_names("text", options["text"], "title")
        encoder = encoder_of(str(options["encoder"]), options["device"], options["batch_size"])
        table = ItemTable(options["items"], **{name: options[name] for name in OF_TABLE})
        files = table.files()
        if files is None:
            raise UserError("items is missing: give items=FILE.", "items")
        with TemporaryDirectory() as folder, converted(files, Path(folder)) as plain_files, plain_files.one_sentence():
            texts = item_texts(table, plain_files, listed(options["text"]))
            done = embed_file(texts, encoder, Path(str(options["output"])))
    except UserError as error:
        raise error.renamed(names) from error
    rows = done.rows
    say(f"{done.path}: vectors of {rows.items:,} items, {done.width} numbers each; encoded now: {done.encoded:,}")
    for number, what in (
        (rows.without_text, "Rows without a text, which were left out"),
        (rows.without_id, "Rows without an id, which were left out"),
        (rows.repeated, "Further rows of items, of which the first text counts"),
        (done.cut, "Encoded texts that are longer than the model reads, and were cut"),
    ):
        if number:
            say(f"{what}: {number:,}")
