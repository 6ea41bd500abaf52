"""Pages for teams: models, experiments, results, decisions. All signed-in people read them."""
