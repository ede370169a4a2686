"""What is generated of the charts: the schemas of their values, and the template of the controller's Pod."""
