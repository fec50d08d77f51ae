"""Documents of one device: reading, splitting into passages, searching, attesting.

Rule guarded here: a document never leaves its device. What travels is a quoted passage with the
Merkle path that shows it stood in the document as indexed.
"""
