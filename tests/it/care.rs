//! Looking after photos: the trash, conflict copies, what was deleted, damage, restored backups.

mod conflicts;
mod tombstones;
mod trash;
