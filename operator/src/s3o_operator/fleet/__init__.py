"""The pods of an orchestrator, spoken to by the admin API that each of them serves.

*Peer*: one pod as something that can be called: its address, the token, the certificate that it must show. *Contact*: what came of the last
call to a pod (`plan.contacts`).

Every call has a time-out. An error is one of `fleet.errors`, and none of them but `NotFound` means that something is not there.
"""
