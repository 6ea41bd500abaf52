"""Alarms: significance levels from the false-page budget, minimum effect size, alarm states."""
