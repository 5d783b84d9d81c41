"""What lies beneath a transport: *descriptors*, and the *pipes* through which bytes pass from one to another around Python."""
