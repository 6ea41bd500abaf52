"""Watch the streams of one group: records in, drift events out."""
