"""The sections of the page of two models: a file here and a template of the same name in ``templates/comparison``."""
