"""Review queues: what enters, who rates what, answers, labels, erasure.

The functions take a connection of `Store.read()` or `Store.write()`, so that one transaction can
hold several of them. Times are epoch seconds and come from the caller.
"""
