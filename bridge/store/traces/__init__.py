"""What happened in each call, step by step: a file of its own, which nothing but the curiosity of operators needs.

Not in the database of the bridge: traces are many and cheap, that one's writes are few and must reach the disk. The
file may be deleted at any time, and one that is damaged or of another version is begun anew.
"""
