"""What a job's rows may open: untrusted text becomes a location, or an `AccessError`."""
