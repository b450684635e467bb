"""The log: the one writer, the followers, the inbox and the leases, all in Postgres."""
