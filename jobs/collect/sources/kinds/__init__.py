"""Sources, one file each: a class whose `kind` is the file's name, with `-` for `_`."""
