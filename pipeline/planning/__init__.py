"""What a run would do: its plan, from its configuration and what its store has now."""
