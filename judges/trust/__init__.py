"""Trust in a judge: a golden set and canary attacks that are judged on a schedule."""
