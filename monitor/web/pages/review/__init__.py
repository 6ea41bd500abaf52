"""Pages of review: tasks of annotators; queues, adjudication and people for admins."""
