"""The pipeline from a raw click log to sessions: files, layout, rows, clicks, rules, split."""
