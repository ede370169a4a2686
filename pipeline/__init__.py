"""The controller: configuration, plan, decisions, executors. Imports no worker, no torch, no numpy."""
