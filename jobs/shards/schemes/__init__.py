"""Kinds of stores, one file each, named by the scheme of their addresses.

`ADDRESS`, a literal, says how such an address is written; `open_at(rest, patience_seconds=…)` gives the store at what
follows `SCHEME://`, whose operations wait so long for a service that is away.
"""
