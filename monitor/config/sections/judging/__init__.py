"""The section `judges`: judge client, budget, rubrics and the windows of judged samples."""
