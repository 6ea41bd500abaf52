"""The web application: review of responses by people, results, decisions (extra `web`).

It imports neither judges nor replay. The role brings the database, rubrics and what other roles
publish, as arguments.
"""
