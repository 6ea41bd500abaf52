"""What all dashboards consist of: the frame, panels, queries."""
