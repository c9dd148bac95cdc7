"""Watching a stream: a reference, windows of the stream compared with it, and alarms that stay rare for ever."""
