"""The commands of ``ssl3d``, one file each.

A command imports what it needs when it is called, so that help and complaints about flags come at once.
"""
