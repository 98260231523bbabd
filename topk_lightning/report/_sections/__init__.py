"""The sections of the report: a file here and a template of the same name in ``templates/sections`` make one."""
