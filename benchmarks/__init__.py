"""Speed and false alarms, measured against alternatives in the same run."""
