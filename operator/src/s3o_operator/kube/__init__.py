"""The API server: the verbs that we use, by kind, namespace and name, on plain JSON objects. The only user of the Kubernetes client.

Every call has a time-out. An error is one of `kube.errors`.
"""
