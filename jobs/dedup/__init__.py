"""Keeps one of every group of near-duplicate prompts, exactly, and names the kept witness of each dropped one."""
