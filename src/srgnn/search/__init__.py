"""Hyper-parameter search with Optuna, which the extra `tune` installs. Import the modules by their own names."""
