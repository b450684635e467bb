"""Actors: the only places where a decision meets the world.

Who may ask whom, as a lock order: http -> link, sending ip -> (nothing). A link session tells its
transport, a transport tells its session; nobody waits for an answer inside an actor's loop.
"""
