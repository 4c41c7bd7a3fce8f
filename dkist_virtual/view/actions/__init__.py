"""Turn what was marked on a page into Python, files and downloads."""
