//! A world for stories: the real program with a database of its own, and the real parts around it.

pub mod world;
