"""The ledger of what lies where, and the only SQL.

A *story* is one kind of change or question, told as a generator of named statements; it knows no driver. An *engine* (SQLite or
PostgreSQL) runs stories. The *lane* gathers what a process wants to change and commits it in groups; the *finder* gathers what it
looks up. The *ledger* has one method per thing that operations and workers ask of it.
"""
