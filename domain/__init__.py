"""The rules of the gateway, pure: commands in, events out, no clock, no I/O, no randomness.

Read in this order: `errors` (every refusal), `link`, `message`, then `names` (what events are
called in the log). Every stream module has the same order: commands, events, state, decide, evolve,
helpers. Times and ids come in as arguments.
"""
