"""What every worker runs on: stage specifications, tasks, logs, devices and models by name."""
