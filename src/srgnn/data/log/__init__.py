"""The pipeline from a raw click log to sessions: `raw` files -> `columns` -> rows -> clicks -> rules -> split.

`prepare.py` reads from top to bottom; `engines` run it.
"""
