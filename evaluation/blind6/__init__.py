"""The sixth blind set: networks judged once by a detector that their authors had not read."""
