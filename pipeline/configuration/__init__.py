"""A run's configuration: presets and what is laid over them, checked before anything starts."""
