//! The wire types against GitLab's shapes.

mod older;
mod shapes;
