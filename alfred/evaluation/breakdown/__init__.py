"""Where a gain came from and when: the bookkeeping of a record, session by session."""
