"""The filter without a run: of files of prompts, as a function, and a run's prompts in the same files."""
