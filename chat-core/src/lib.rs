//! A broadcast hub.
