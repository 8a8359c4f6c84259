# Modules are imported by their own names: a checkpoint is read without Lightning, which takes seconds to load.
