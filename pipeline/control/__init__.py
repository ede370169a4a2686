"""The controller: observe, decide purely, act idempotently, look again."""
