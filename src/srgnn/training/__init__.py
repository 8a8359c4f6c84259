"""Training: protocols, runs, the optimizer, callbacks and checkpoints.

Import the modules by their own names: a checkpoint is read without Lightning, which takes seconds to load.
"""
