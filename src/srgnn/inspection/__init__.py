"""What a trained model does with one session, and where it fails on a test set."""
