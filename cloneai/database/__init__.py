"""The database engine: PostgreSQL by DATABASE_URL, or a server of our own in `var/postgres` when that is unset.

`base` is what Django loads; `embedded` starts the server; `keeper` stops it; `errors` words every refusal.
"""
