"""A plan, carried out: in its order, by server-side apply, status last. Nothing is decided here but whom to stop for."""
