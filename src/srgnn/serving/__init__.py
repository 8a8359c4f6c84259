"""The HTTP service: recommendations from a checkpoint, and a page that shows them. Needs no Hydra and no Lightning."""
