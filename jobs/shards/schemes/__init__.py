"""Kinds of stores, one file each, named by the scheme of their addresses.

`ADDRESS`, a literal, says how such an address is written; `open_at(rest, patience_seconds=…)` gives the store at what
follows `SCHEME://`, whose operations wait so long for a service that is away. Where nothing can be written, the literal
`ONLY_READ` is True, and `open_at(rest, patience_seconds=…, downloads=…)` gives a `Readable` that keeps these limits.
The literal `READER` names the function for files that are only read, where that is another one than `open_at`.
"""
