"""What one stage promises to another, as types: declared once, read and written by attribute."""
