"""The exchange library: how data becomes real between stages, on a local folder and on S3 alike.

Data first, then its record, then the manifest; readers go through records only. Nothing here knows of stages, models
or Kubernetes, and nothing here needs more than the standard library, boto3 and
pydantic.
"""
