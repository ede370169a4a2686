"""Formats of exported files, one module each, chosen by `--format`: it defines `FORMAT`, a Format, whose `write(part,
draft)` writes the part's rows to new files of the draft. Equal rows give equal bytes.
"""
