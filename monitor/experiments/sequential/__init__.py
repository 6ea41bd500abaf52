"""Sequential tests of an arm against the control: valid at every look, however often one looks."""
