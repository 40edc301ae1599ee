"""The training itself: the step, the loop, evaluation, checkpoints."""
