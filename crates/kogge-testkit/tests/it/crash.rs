//! Crashes, full disks and restarts of the real program: what was acknowledged stays, and nothing else does.
//!
//! Needs root: a small disk is a file system that the test mounts in a namespace of its own.

mod audit;
mod backup;
mod disk_full;
mod kill;
mod ledger;
mod load;
mod local_verbs;
mod readiness;
mod small_disk;
mod stop;
mod store_folder;
