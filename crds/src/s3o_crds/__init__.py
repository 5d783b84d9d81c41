"""The contract: what a user writes, and what a proxy is given.

A *resource* is one custom resource (S3Orchestrator, StorageBackend, VirtualBucket) or Secret, as parsed. *Compiling* turns an
orchestrator with the resources that refer to it into a *FleetConfig*; a *rejection* says why one resource is not in it. Secret values
travel beside the config, by *reference*.
"""
