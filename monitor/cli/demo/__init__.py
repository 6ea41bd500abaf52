"""`plumbline demo`: embedded broker, synthetic traffic, and a comparison of distributions."""
