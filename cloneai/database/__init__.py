"""The database engine: PostgreSQL by DATABASE_URL, or an embedded one in `var/postgres` without.

`base` is what Django loads; `embedded` starts the server; `keeper` stops it; `errors` words every refusal.
"""
