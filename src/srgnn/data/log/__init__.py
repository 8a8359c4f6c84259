"""A raw click log -> sessions: files, layout, rows, clicks, rules, split."""
