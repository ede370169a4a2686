"""What a run has made, in files that other tools read: `i2p export`. It is no stage: it has no `stage.py`."""
