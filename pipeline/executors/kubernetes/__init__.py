"""Runs stages as Indexed Jobs of a Kubernetes cluster."""
