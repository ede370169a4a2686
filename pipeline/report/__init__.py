"""The run's report: one HTML page without scripts that a browser shows without any network."""
