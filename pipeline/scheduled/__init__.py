"""Inference on cron: claims what came in, and predicts each claim in a run of its own."""
