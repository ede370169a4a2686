"""`i2p predict`: prompts of images that are anywhere, read by a trained model, without a run."""
