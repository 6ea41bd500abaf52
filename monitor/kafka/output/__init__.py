"""Messages whose content comes from a log, within the limits of their topics."""
