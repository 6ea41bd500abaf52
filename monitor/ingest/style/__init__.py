"""Style of answers and prompts: markers of a sample of records, for the source `style`."""
