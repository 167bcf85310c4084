"""The audit: can anything in a configuration see the future?

The same configuration is run in fresh processes on two worlds: the true one, and one whose tables are random after a
date. Whatever is computed for that date or earlier and comes out different has looked ahead; the first stage, column,
symbol and date that differ are named. See `alfred.training.audit.run.audit`.
"""
