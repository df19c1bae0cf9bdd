//! HTTP: what arrives is parsed and authorised here, handed to one use case of [`crate::app`], and rendered.

pub mod entity;
pub mod git;
pub mod health;
pub mod layer;
pub mod paginate;
pub mod params;
pub mod request;
pub mod respond;
pub mod router;
pub mod runner;
pub mod v4;
pub mod web;
