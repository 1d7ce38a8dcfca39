"""Training: the reference loop and the cohort trainer, which draw the same random numbers."""
