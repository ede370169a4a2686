"""The groups of shards that stages agree on: the training split, and what dedup writes beside the splits."""

TRAIN = "train"
DROPPED = "dropped"
CERTIFICATE = "certificate"
NOT_SPLITS = frozenset({DROPPED, CERTIFICATE})
