"""Files of prompts as tables: read for one column, and copied without some of their rows."""
