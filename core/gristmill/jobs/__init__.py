"""Jobs: the record, the status, the handle, the submission."""
