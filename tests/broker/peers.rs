//! Programs of other people as clients.
