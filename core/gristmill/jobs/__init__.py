"""Jobs: the record, the status, the handle, the cluster they may run on."""
