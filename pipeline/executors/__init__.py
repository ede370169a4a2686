"""What runs a stage's tasks: processes of this machine, or Jobs of a Kubernetes cluster."""
