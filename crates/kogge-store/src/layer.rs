//! Stores that stand in front of another store.

mod faulty;

pub use faulty::{FaultyStore, Hold, Operation};
