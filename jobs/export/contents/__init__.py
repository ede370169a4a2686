"""What can be exported, one module each: `content(view)` gives its tables, whose rows are read as they are written."""
