"""What the Kubernetes executor speaks through: a small client of the API, hardened against a server that misbehaves."""
