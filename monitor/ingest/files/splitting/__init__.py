"""Split files into messages: lines, JSON values, envelopes, or one binary message."""
