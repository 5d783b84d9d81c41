"""Models → what Kubernetes, editors and readers need of them: custom resource definitions, JSON schemas, a reference page.

Everything is made from one *structural schema* per kind: the form of OpenAPI that the API server accepts, with every value bounded.
"""
