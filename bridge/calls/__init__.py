"""The call itself: one Call = a Matrix leg + a SIP leg + a media session.

Pure: events in, commands out, time is an argument.
"""
