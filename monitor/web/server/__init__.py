"""The HTTP server: uvicorn in a thread, with deadlines for slow clients."""
