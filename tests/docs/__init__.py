"""The commands of README and docs are run, and what cannot be run here is at least parsed."""
