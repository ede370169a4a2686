"""What stages show of themselves in a run's report: sections, tiles, charts and pictures. Free of numpy and torch."""
