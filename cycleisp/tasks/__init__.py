"""What the scripts of the repository do with files, as functions.

The functions take paths and write files. They raise `cycleisp.utils.errors.UserError` where the
user can mend something. Images that lie in memory are the business of `cycleisp.api`.
"""
