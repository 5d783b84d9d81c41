"""What we make: one builder per child, exactly the fields that we own, as the API server keeps them."""
