"""The database that the result store and the web application share, by SQLAlchemy Core.

`opening` opens it and upgrades its schemas; the tables belong to the packages that use them.
"""
