//! The client against a server that answers as the protocol says.

mod runner;
