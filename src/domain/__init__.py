"""The rules of the box office: values, entities and pure decisions.

Nothing here knows a clock, a database, a framework or `async`: time and new ids come with the commands, and every
decision is a function from what is to what shall be. Anything may drive it.
"""
