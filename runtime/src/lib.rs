//! A container from a specification.
