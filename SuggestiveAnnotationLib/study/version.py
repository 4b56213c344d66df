"""Version of the database's tables; here, so that it can be told where SQLAlchemy is not installed."""

SCHEMA_VERSION = 2
