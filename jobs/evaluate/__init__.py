"""Scores the trained network on held-out images, beside two baselines and with a proof that nothing leaked."""
