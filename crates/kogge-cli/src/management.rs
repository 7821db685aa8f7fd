//! The management API (Azure Resource Manager's) of a server: one login, its resources, and what it answers.

pub(crate) mod address;
pub(crate) mod directory;
mod failure;
pub(crate) mod listing;
mod login;
mod operation;
pub(crate) mod path;
pub(crate) mod session;
#[cfg(test)]
mod tests;
