"""Plan: a request and a listing become shards, without reading a row."""
