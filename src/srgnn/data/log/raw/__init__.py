"""Files as rows: what a file holds, its header, its broken lines, and errors about files that cannot be read."""
