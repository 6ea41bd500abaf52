"""The benchmark of judge clients: concurrent calls against a local endpoint."""
