"""The rules of the box office: values, entities and pure decisions.

No clock, database, framework or `async`: the time and new ids are arguments, and every decision is a function from one
state to the next.
"""
