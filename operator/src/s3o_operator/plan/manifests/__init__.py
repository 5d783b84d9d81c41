"""What we make: one builder per child, plain documents of exactly the fields that we own, in the form in which the API server keeps them."""
