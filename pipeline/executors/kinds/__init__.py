"""Kinds of executors, one file each, named by `executor` of a configuration.

Each defines `Kind`, a subclass of `pipeline.executors.kind.ExecutorKind`.
"""
