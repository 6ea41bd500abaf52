"""The budget of judges: prices, the ledger of a samples partition, pacing, and metered clients.

Amounts of money are whole nanodollars, so that sums are exact. Nothing here but the file of the
ledger of commands does I/O or reads a clock: time is an argument.
"""
