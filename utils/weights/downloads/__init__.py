"""Fetching the files of the registry.

fetching       one file, from the first of its sources that gives it
transfers      how bytes come from Google Drive, from folders, and (web) from the web
hub_addresses  where files lie on the Hugging Face hub
parts          a file while it is downloaded
pace           how slow a source may be
"""
